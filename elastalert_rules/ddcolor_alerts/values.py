"""How Elasticsearch compares a field's value: words, phrases, numbers, dates and ranges."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

# Fields that are analysed into words; all others are keywords, numbers, dates or booleans.
TEXT_FIELDS = frozenset({"body.text", "message"})

# Lucene's standard analyser: words, with dots, colons and apostrophes inside; Han and Kana signs
# are words by themselves.
_SIGN = "\u3040-\u30ff\u4e00-\u9fff"
_TOKEN = re.compile(rf"[{_SIGN}]|[^\W{_SIGN}]+(?:[.:'’][^\W{_SIGN}]+)*")


class QueryError(ValueError):
    """The query cannot be evaluated; the text says which part of it."""


@lru_cache(maxsize=256)
def tokens(text: str) -> tuple[str, ...]:
    """Return the words that a text field is searched by; every keyword rule asks for the same."""
    return tuple(token.lower() for token in _TOKEN.findall(text))


def equal(value: object, wanted: object) -> bool:
    """Compare as a keyword, number or boolean field does: 2, 2.0 and "2" are the same number."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    if isinstance(value, int | float):
        try:
            return float(value) == float(str(wanted))
        except ValueError:
            return False
    return str(value) == str(wanted)


def has_phrase(text: object, phrase: str) -> bool:
    """Return whether the words of ``phrase`` stand in ``text``, next to each other."""
    words, wanted = tokens(str(text)), tokens(phrase)
    # Most texts do not even have its first word.
    return (not wanted or wanted[0] in words) and any(
        words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1)
    )


def in_range(value: object, bounds: Mapping[str, Any]) -> bool:
    """Return whether ``value`` lies within ``gt``, ``gte``, ``lt`` and ``lte``."""
    return all(COMPARISONS[name](*_comparable(value, bound)) for name, bound in bounds.items())


def _comparable(value: object, bound: object) -> tuple[Any, Any]:
    try:
        return float(str(value)), float(str(bound))
    except ValueError:
        pass
    try:
        return _moment(value), _moment(bound)
    except ValueError:
        return str(value), str(bound)


def _moment(text: object) -> datetime:
    """Read a date; one without a zone is UTC."""
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, bound: bool(value > bound),
    "gte": lambda value, bound: bool(value >= bound),
    "lt": lambda value, bound: bool(value < bound),
    "lte": lambda value, bound: bool(value <= bound),
}
