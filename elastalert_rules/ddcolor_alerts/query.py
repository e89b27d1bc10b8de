"""Evaluates the part of Elasticsearch's query language that rules use, on one document.

A filter that works here finds the same documents in Elasticsearch; the integration tests run every
corpus both ways. What is not understood raises :class:`QueryError` when the filter is read, and
never guesses. Every record goes through the filter of every rule, so what can be worked out at the
reading is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ddcolor_alerts.fields import Fields
from ddcolor_alerts.query_string import fields_of_string, read_string
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
Test = Callable[[Fields], bool]

_DATE_MATH = re.compile(r"^now($|[-+/])|\|\|")


def read_filter(filters: Sequence[Query]) -> Test:
    """Return what tells whether a document passes a rule's ``filter``: each part must hold."""
    return _all([read_query(_unwrapped(part)) for part in filters])


def read_query(query: Query) -> Test:
    """Return what tells whether Elasticsearch would find a document; raises QueryError."""
    kind, body = _single(query, "a query")
    try:
        read = _QUERIES[kind]
    except KeyError:
        known = ", ".join(sorted(_QUERIES))
        raise QueryError(f"the query type {kind!r} is not known here: use one of {known}") from None
    return read(body)


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


def _unwrapped(part: object) -> Any:
    return part.get("query", part) if isinstance(part, Mapping) else part


def _single(query: object, what: str) -> tuple[str, Any]:
    if not isinstance(query, Mapping) or len(query) != 1:
        raise QueryError(f"{what} must be one name with its content, found {query!r}")
    return next(iter(query.items()))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _any_value(field: str, test: Callable[[Any], bool]) -> Test:
    def found(document: Fields) -> bool:
        values = document.values(field)
        # One value, or mostly none at all.
        return test(values[0]) if len(values) == 1 else any(map(test, values))

    return found


def _all(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda document: all(test(document) for test in tests)


def _option(body: Any, kind: str, name: str) -> tuple[str, Any]:
    """Return the field and what is wanted of it, given directly or below ``name``."""
    field, wanted = _single(body, kind)
    if not isinstance(wanted, Mapping):
        return field, wanted
    _check_options(f"{kind}: {field}", wanted, name)
    return field, wanted[name]


def _check_options(where: str, spec: Mapping[str, Any], needed: str, *others: str) -> None:
    """Refuse what would change the result in Elasticsearch; ``boost`` only changes the order."""
    known = (needed, *others)
    if unknown := set(spec) - {*known, "boost"}:
        raise QueryError(f"{where}: {', '.join(sorted(unknown))} is not known: use {known}")
    if needed not in spec:
        raise QueryError(f"{where}: give what is searched for with `{needed}:`")


def _term(body: Any) -> Test:
    field, wanted = _option(body, "term", "value")
    return _any_value(field, _term_equal(field, wanted))


def _terms(body: Any) -> Test:
    field, wanted = _single(body, "terms")
    if not isinstance(wanted, list):
        raise QueryError(f"terms: {field}: give a list of values")
    tests = [_term_equal(field, one) for one in wanted]
    if field in TEXT_FIELDS or not all(isinstance(one, str) for one in wanted):
        return _any_value(field, lambda value: any(test(value) for test in tests))
    texts = frozenset(wanted)
    # Nearly every value is a text: the services, events and kinds that the shared parts name.
    return _any_value(
        field,
        lambda value: value in texts if type(value) is str else any(test(value) for test in tests),
    )


def _term_equal(field: str, wanted: object) -> Callable[[Any], bool]:
    """Compare as a term does: on a text field it has to be one of the words, in lower case."""
    if field in TEXT_FIELDS:
        return lambda value: str(wanted) in tokens(str(value))
    if isinstance(wanted, str):
        return lambda value: value == wanted if type(value) is str else equal(value, wanted)
    return lambda value: equal(value, wanted)


def _match_phrase(body: Any) -> Test:
    field, wanted = _option(body, "match_phrase", "query")
    if field in TEXT_FIELDS:
        return _any_value(field, lambda value: has_phrase(value, str(wanted)))
    return _any_value(field, lambda value: equal(value, wanted))


def _match(body: Any) -> Test:
    field, given = _single(body, "match")
    spec = given if isinstance(given, Mapping) else {"query": given}
    _check_options(f"match: {field}", spec, "query", "operator")
    operator, wanted = str(spec.get("operator", "or")).lower(), spec["query"]
    if field not in TEXT_FIELDS:
        return _any_value(field, lambda value: equal(value, wanted))
    combine: Callable[[Any], bool] = all if operator == "and" else any
    words = tokens(str(wanted))
    return _any_value(field, lambda value: combine(word in tokens(str(value)) for word in words))


def _prefix(body: Any) -> Test:
    field, wanted = _option(body, "prefix", "value")
    return _any_value(field, lambda value: str(value).startswith(str(wanted)))


def _range(body: Any) -> Test:
    field, bounds = _single(body, "range")
    if not isinstance(bounds, Mapping) or not bounds or set(bounds) - set(COMPARISONS):
        raise QueryError(f"range: {field}: give one or more of {', '.join(COMPARISONS)}")
    for bound in bounds.values():
        if _DATE_MATH.search(str(bound)):
            raise QueryError(f"range: {field}: {bound!r} is reckoned by the clock: give a value")
    return _any_value(field, lambda value: in_range(value, bounds))


def _exists(body: Any) -> Test:
    name, field = _single(body, "exists")
    if name != "field":
        raise QueryError("exists: name the field with `field:`")
    return lambda document: bool(document.values(field))


def _query_string(body: Any) -> Test:
    if not isinstance(body, Mapping):
        raise QueryError("query_string: give the text with `query:`")
    _check_options("query_string", body, "query", "default_field")
    return read_string(str(body["query"]), str(body.get("default_field", "message")))


def _bool(body: Any) -> Test:
    if not isinstance(body, Mapping):
        raise QueryError("bool: give must, filter, should or must_not")
    known = {"must", "filter", "should", "must_not", "minimum_should_match"}
    if unknown := set(body) - known:
        raise QueryError(f"bool: {', '.join(sorted(unknown))} is not known: use {sorted(known)}")
    required = [*_list(body.get("must", [])), *_list(body.get("filter", []))]
    should = _list(body.get("should", []))
    given = body.get("minimum_should_match", 1 if should and not required else 0)
    if not str(given).isdecimal():
        raise QueryError(f"bool: minimum_should_match: {given!r} is no number: write for example 1")
    least = int(given)
    musts = [read_query(part) for part in required]
    nots = [read_query(part) for part in _list(body.get("must_not", []))]
    shoulds = [read_query(part) for part in should]
    return lambda document: (
        all(test(document) for test in musts)
        and not any(test(document) for test in nots)
        and (least == 0 or sum(test(document) for test in shoulds) >= least)
    )


_QUERIES: dict[str, Callable[[Any], Test]] = {
    "bool": _bool,
    "exists": _exists,
    "match": _match,
    "match_all": lambda _body: lambda _document: True,
    "match_phrase": _match_phrase,
    "prefix": _prefix,
    "query_string": _query_string,
    "range": _range,
    "term": _term,
    "terms": _terms,
}
