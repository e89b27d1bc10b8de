"""Evaluates the part of Elasticsearch's query language that rules use, on one document.

A filter that works here finds the same documents in Elasticsearch; the integration tests run every
corpus both ways. What is not understood raises :class:`QueryError` and never guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ddcolor_alerts.fields import Fields
from ddcolor_alerts.query_string import fields_of_string, matches_string
from ddcolor_alerts.values import (
    COMPARISONS,
    TEXT_FIELDS,
    QueryError,
    equal,
    has_phrase,
    in_range,
    tokens,
)

Query = Mapping[str, Any]


def matches(query: Query, document: Fields) -> bool:
    """Return whether Elasticsearch would find ``document`` with ``query``."""
    kind, body = _single(query, "a query")
    try:
        evaluate = _QUERIES[kind]
    except KeyError:
        known = ", ".join(sorted(_QUERIES))
        raise QueryError(f"the query type {kind!r} is not known here: use one of {known}") from None
    return evaluate(body, document)


def matches_filter(filters: Sequence[Query], document: Fields) -> bool:
    """Return whether ``document`` passes a rule's ``filter``: each of its parts must hold."""
    return all(matches(part.get("query", part), document) for part in filters)


def fields_of(query: object) -> Iterator[str]:
    """Yield the names of all fields that a query, or a list of queries, asks for."""
    if isinstance(query, list):
        for part in query:
            yield from fields_of(part)
        return
    if not isinstance(query, Mapping):
        return
    for kind, body in query.items():
        if kind in ("bool", "query"):
            parts = body.values() if isinstance(body, Mapping) else ()
            yield from fields_of(body if kind == "query" else [p for v in parts for p in _list(v)])
        elif kind == "exists" and isinstance(body, Mapping):
            yield str(body.get("field"))
        elif kind == "query_string" and isinstance(body, Mapping):
            yield from fields_of_string(str(body.get("query", "")))
        elif isinstance(body, Mapping):
            yield from (str(name) for name in body if name != "boost")


def _single(query: object, what: str) -> tuple[str, Any]:
    if not isinstance(query, Mapping) or len(query) != 1:
        raise QueryError(f"{what} must be one name with its content, found {query!r}")
    return next(iter(query.items()))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _term(body: Any, document: Fields) -> bool:
    field, wanted = _single(body, "term")
    if isinstance(wanted, Mapping):
        wanted = wanted.get("value")
    return any(_term_equal(field, value, wanted) for value in document.values(field))


def _terms(body: Any, document: Fields) -> bool:
    field, wanted = _single(body, "terms")
    if not isinstance(wanted, list):
        raise QueryError(f"terms: {field}: give a list of values")
    values = document.values(field)
    return any(_term_equal(field, value, one) for value in values for one in wanted)


def _term_equal(field: str, value: object, wanted: object) -> bool:
    """Compare as a term does: on a text field it has to be one of the words, in lower case."""
    if field in TEXT_FIELDS:
        return str(wanted) in tokens(str(value))
    return equal(value, wanted)


def _match_phrase(body: Any, document: Fields) -> bool:
    field, wanted = _single(body, "match_phrase")
    if isinstance(wanted, Mapping):
        wanted = wanted.get("query")
    values = document.values(field)
    if field in TEXT_FIELDS:
        return any(has_phrase(value, str(wanted)) for value in values)
    return any(equal(value, wanted) for value in values)


def _match(body: Any, document: Fields) -> bool:
    field, wanted = _single(body, "match")
    operator = "or"
    if isinstance(wanted, Mapping):
        operator = str(wanted.get("operator", "or")).lower()
        wanted = wanted.get("query")
    values = document.values(field)
    if field not in TEXT_FIELDS:
        return any(equal(value, wanted) for value in values)
    combine: Callable[[Any], bool] = all if operator == "and" else any
    return any(combine(w in tokens(str(value)) for w in tokens(str(wanted))) for value in values)


def _prefix(body: Any, document: Fields) -> bool:
    field, wanted = _single(body, "prefix")
    if isinstance(wanted, Mapping):
        wanted = wanted.get("value")
    return any(str(value).startswith(str(wanted)) for value in document.values(field))


def _range(body: Any, document: Fields) -> bool:
    field, bounds = _single(body, "range")
    if not isinstance(bounds, Mapping) or not bounds or set(bounds) - set(COMPARISONS):
        raise QueryError(f"range: {field}: give one or more of {', '.join(COMPARISONS)}")
    return any(in_range(value, bounds) for value in document.values(field))


def _exists(body: Any, document: Fields) -> bool:
    name, field = _single(body, "exists")
    if name != "field":
        raise QueryError("exists: name the field with `field:`")
    return bool(document.values(field))


def _query_string(body: Any, document: Fields) -> bool:
    if not isinstance(body, Mapping) or "query" not in body:
        raise QueryError("query_string: give the text with `query:`")
    return matches_string(str(body["query"]), document, str(body.get("default_field", "message")))


def _bool(body: Any, document: Fields) -> bool:
    if not isinstance(body, Mapping):
        raise QueryError("bool: give must, filter, should or must_not")
    known = {"must", "filter", "should", "must_not", "minimum_should_match"}
    if unknown := set(body) - known:
        raise QueryError(f"bool: {', '.join(sorted(unknown))} is not known: use {sorted(known)}")
    required = [*_list(body.get("must", [])), *_list(body.get("filter", []))]
    should = _list(body.get("should", []))
    least = body.get("minimum_should_match", 1 if should and not required else 0)
    # Evaluate every part: a mistake in one must show even if another already decides.
    musts = [matches(part, document) for part in required]
    nots = [matches(part, document) for part in _list(body.get("must_not", []))]
    shoulds = [matches(part, document) for part in should]
    return all(musts) and not any(nots) and sum(shoulds) >= int(least)


_QUERIES: dict[str, Callable[[Any, Fields], bool]] = {
    "bool": _bool,
    "exists": _exists,
    "match": _match,
    "match_all": lambda _body, _document: True,
    "match_phrase": _match_phrase,
    "prefix": _prefix,
    "query_string": _query_string,
    "range": _range,
    "term": _term,
    "terms": _terms,
}
