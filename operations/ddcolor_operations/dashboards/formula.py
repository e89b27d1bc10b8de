"""Lens formulas: read, and taken apart into the columns that Lens keeps beside the formula.

Kibana does not compile a stored formula: it runs the columns stored with it. A formula without them
is imported without complaint and shows nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .model import SourceError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_@][\w.@]*)|(?P<text>'[^']*')"
    r"|(?P<sign>[-+*/(),=]))"
)
_FIELD_CALLS = ("min", "max", "average", "sum", "median", "unique_count", "percentile")
_OVERALL = ("overall_sum", "overall_min", "overall_max", "overall_average")
_SIGNS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


@dataclass(frozen=True, slots=True)
class Call:
    """An aggregation over documents: ``count(kql='…')``, ``percentile(field, percentile=95)``."""

    operation: str
    field: str
    where: str
    percentile: int


@dataclass(frozen=True, slots=True)
class Overall:
    """One number over all rows of the inner expression."""

    operation: str
    inner: Node


@dataclass(frozen=True, slots=True)
class Math:
    """Arithmetic of two expressions; ``start`` and ``end`` are its place in the formula."""

    name: Literal["add", "subtract", "multiply", "divide"]
    left: Node
    right: Node
    start: int
    end: int


Node = Call | Overall | Math | float


def parse(formula: str) -> Node:
    """Return the tree of ``formula``; SourceError tells the position of what is not understood."""
    parser = _Parser(formula)
    node = parser.sum()
    if parser.kind != "end":
        raise parser.error("an operator or the end")
    return node


class _Parser:
    def __init__(self, formula: str) -> None:
        self._formula = formula.rstrip()
        self._next = 0
        self.kind, self.value, self.start, self.end = "", "", 0, 0
        self.advance()

    def advance(self) -> None:
        self.end = self._next
        if self._next >= len(self._formula):
            self.kind, self.value, self.start = "end", "", self._next
            return
        match = _TOKEN.match(self._formula, self._next)
        if match is None:
            self.start = self._next
            raise self.error("a number, a name or an operator")
        self.kind = str(match.lastgroup)
        self.value = match[self.kind]
        self.start, self._next = match.start(self.kind), match.end()

    def error(self, expected: str) -> SourceError:
        return SourceError(f"formula {self._formula!r}, position {self.start}: expected {expected}")

    def expect(self, sign: str) -> None:
        if self.value != sign or self.kind != "sign":
            raise self.error(repr(sign))
        self.advance()

    def sum(self) -> Node:
        start, node = self.start, self.product()
        while self.kind == "sign" and self.value in "+-":
            name = _SIGNS[self.value]
            self.advance()
            node = Math(name, node, self.product(), start, self.end)  # type: ignore[arg-type]
        return node

    def product(self) -> Node:
        start, node = self.start, self.factor()
        while self.kind == "sign" and self.value in "*/":
            name = _SIGNS[self.value]
            self.advance()
            node = Math(name, node, self.factor(), start, self.end)  # type: ignore[arg-type]
        return node

    def factor(self) -> Node:
        if self.kind == "number":
            number = float(self.value)
            self.advance()
            return number
        if self.kind == "sign" and self.value == "(":
            self.advance()
            node = self.sum()
            self.expect(")")
            return node
        if self.kind == "name":
            return self.call()
        raise self.error("a number, a function or '('")

    def call(self) -> Node:
        name = self.value
        if name not in ("count", *_FIELD_CALLS, *_OVERALL):
            raise self.error("a known function")
        self.advance()
        self.expect("(")
        if name in _OVERALL:
            inner = self.sum()
            self.expect(")")
            return Overall(name, inner)
        field = ""
        if name in _FIELD_CALLS:
            if self.kind != "name":
                raise self.error("a field")
            field = self.value
            self.advance()
            if self.value == ",":
                self.advance()
        options = self.options()
        percentile = int(options.pop("percentile", "0"))
        where = options.pop("kql", "")
        if options or (name == "percentile") != (0 < percentile < 100):
            raise self.error("kql='…', and for a percentile percentile=1 to 99")
        return Call(name, field, where, percentile)

    def options(self) -> dict[str, str]:
        """Read ``name=value, …`` up to and with the closing bracket."""
        options: dict[str, str] = {}
        while self.kind == "name":
            name = self.value
            self.advance()
            self.expect("=")
            if self.kind not in ("number", "text"):
                raise self.error("a number or a text in single quotes")
            options[name] = self.value.strip("'")
            self.advance()
            if self.value != ",":
                break
            self.advance()
        self.expect(")")
        return options
