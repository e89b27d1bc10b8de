"""Lucene's query syntax, the part that rules use: field:value, phrases, ranges, AND OR NOT, ( ).

Words without a field search the default field. ``*`` in a value stands for any characters,
``_exists_:field`` asks whether a field is there, ``field:>=30`` and ``field:[10 TO 20}`` compare.
Without an operator between two parts either is enough, as in Elasticsearch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from ddcolor_alerts.fields import Fields
from ddcolor_alerts.values import TEXT_FIELDS, QueryError, equal, has_phrase, in_range, tokens

Test = Callable[[Fields], bool]

_LEXER = re.compile(
    r"""\s*(?:
        (?P<paren>[()])
      | (?P<word>(?:AND|OR|NOT)(?![\w:])|&&|\|\||!)
      | (?:(?P<field>[@\w][\w.@\\-]*?)\s*:\s*)?
        (?: "(?P<phrase>(?:[^"\\]|\\.)*)"
          | (?P<open>[\[{])\s*(?P<low>\S+)\s+TO\s+(?P<high>[^\s\]}]+)\s*(?P<close>[\]}])
          | (?P<compare>[<>]=?)\s*(?P<bound>[^\s()]+)
          | (?P<value>[^\s()":]+)
        )
    )""",
    re.VERBOSE,
)
_OPERATORS = {"&&": "AND", "||": "OR", "!": "NOT"}


class _Token(NamedTuple):
    kind: str
    text: str
    field: str
    test: Test | None


def read_string(query: str, default_field: str) -> Test:
    """Return what says of a document whether the query finds it; raises QueryError."""
    return _Parser(list(_tokens(query, default_field)), query).parse()


def fields_of_string(query: str) -> Iterator[str]:
    """Yield the fields that the query names."""
    for token in _tokens(query, "message"):
        if token.kind == "test":
            yield token.field


def _tokens(query: str, default_field: str) -> Iterator[_Token]:
    position = 0
    while query[position:].strip():
        found = _LEXER.match(query, position)
        if not found:
            raise QueryError(f"query_string: cannot read {query[position:].strip()!r}")
        position = found.end()
        if found["paren"]:
            yield _Token(found["paren"], found["paren"], "", None)
        elif found["word"]:
            word = _OPERATORS.get(found["word"], found["word"])
            yield _Token(word, word, "", None)
        else:
            field = (found["field"] or default_field).replace("\\", "")
            test = _test(field, found)
            if field == "_exists_":
                field = found["value"] or found["phrase"]
            yield _Token("test", found[0].strip(), field, test)


def _test(field: str, found: re.Match[str]) -> Test:
    if found["phrase"] is not None:
        phrase = found["phrase"].replace("\\", "")
        if field in TEXT_FIELDS:
            return lambda doc: any(has_phrase(v, phrase) for v in doc.values(field))
        return lambda doc: any(equal(v, phrase) for v in doc.values(field))
    if found["open"]:
        bounds = {
            "gte" if found["open"] == "[" else "gt": found["low"],
            "lte" if found["close"] == "]" else "lt": found["high"],
        }
        bounds = {name: bound for name, bound in bounds.items() if bound != "*"}
        return lambda doc: any(in_range(v, bounds) for v in doc.values(field))
    if found["compare"]:
        name = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}[found["compare"]]
        bound = {name: found["bound"]}
        return lambda doc: any(in_range(v, bound) for v in doc.values(field))
    value = found["value"].replace("\\", "")
    if field == "_exists_":
        return lambda doc: bool(doc.values(value))
    return lambda doc: any(_is(field, v, value) for v in doc.values(field))


def _is(field: str, value: object, wanted: str) -> bool:
    if field in TEXT_FIELDS:
        words = tokens(str(value))
        if "*" in wanted or "?" in wanted:
            return any(fnmatchcase(word, wanted.lower()) for word in words)
        return has_phrase(value, wanted)
    if "*" in wanted or "?" in wanted:
        return fnmatchcase(str(value), wanted)
    return equal(value, wanted)


class _Parser:
    """Recursive descent: NOT binds closest, then AND, then OR."""

    def __init__(self, found: list[_Token], query: str) -> None:
        self._tokens = found
        self._query = query
        self._at = 0

    def parse(self) -> Test:
        if not self._tokens:
            raise QueryError("query_string: the query is empty")
        test = self._any()
        if self._at < len(self._tokens):
            raise self._error()
        return test

    def _any(self) -> Test:
        parts = [self._all()]
        while self._kind() not in (None, ")"):
            self._take("OR")
            parts.append(self._all())
        return lambda document: any(part(document) for part in parts)

    def _all(self) -> Test:
        parts = [self._not()]
        while self._take("AND"):
            parts.append(self._not())
        return lambda document: all(part(document) for part in parts)

    def _not(self) -> Test:
        if self._take("NOT"):
            part = self._not()
            return lambda document: not part(document)
        if self._take("("):
            part = self._any()
            if not self._take(")"):
                raise self._error()
            return part
        if self._kind() == "test":
            test = self._tokens[self._at].test
            self._at += 1
            assert test is not None  # noqa: S101  # by construction of the token
            return test
        raise self._error()

    def _kind(self) -> str | None:
        return self._tokens[self._at].kind if self._at < len(self._tokens) else None

    def _take(self, kind: str) -> bool:
        if self._kind() != kind:
            return False
        self._at += 1
        return True

    def _error(self) -> QueryError:
        where = self._tokens[self._at].text if self._at < len(self._tokens) else "its end"
        return QueryError(f"query_string: {self._query!r} cannot be read at {where}")
