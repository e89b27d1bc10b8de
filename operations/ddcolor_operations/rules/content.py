"""Finds mistakes in what a rule looks for, and in what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from comfyui_telemetry import semconv
from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_alerts.fields import ALIASES
from ddcolor_alerts.query import fields_of, read_filter
from ddcolor_alerts.values import QueryError

from . import options
from .files import Problem, Rule

FROM_RECORD = "from_record"

# Fields of a document that are no attributes, so not in the semantic conventions.
_DOCUMENT_FIELDS = frozenset(
    {"@timestamp", "body.text", "event.ingested", "severity_number", "severity_text", "span_id"}
    | {"trace_id", "observed_timestamp"}
) | set(ALIASES)
_PREFIXES = ("attributes.", "resource.attributes.", "scope.attributes.")


def metadata_problems(rule: Rule) -> Iterator[Problem]:
    """Yield what is wrong with the rule's ``x-ddcolor`` part."""
    metadata = rule.data.get(options.METADATA)
    if not isinstance(metadata, dict):
        return
    heartbeat = rule.data.get("alert") == options.HEARTBEAT
    known = options.METADATA_OF_HEARTBEAT if heartbeat else options.METADATA_KNOWN
    for name in options.METADATA_OF_HEARTBEAT if heartbeat else options.METADATA_REQUIRED:
        if not metadata.get(name):
            yield _problem(rule, f"{name} is missing")
    for name in metadata:
        if name not in known:
            meant = options.suggestion(str(name), known)
            yield _problem(rule, f"the option is not known{meant}", str(name))
    kind = metadata.get("kind")
    if kind and kind != FROM_RECORD and kind not in CATALOGUE:
        meant = options.suggestion(str(kind), CATALOGUE)
        yield _problem(rule, f"{kind!r} is no kind of the fault catalogue{meant}", "kind")
    if metadata.get("level") not in (None, 1, 2, 3):
        yield _problem(rule, f"{metadata['level']!r} is not 1, 2 or 3", "level")
    runbook = metadata.get("runbook")
    if runbook and (not isinstance(runbook, dict) or not {"zh", "en"} <= set(runbook)):
        yield _problem(rule, "give it in zh and in en", "runbook")
    try:
        str(metadata.get("summary", "")).format(count=1, message="", value=0.5)
    except (KeyError, IndexError, ValueError):
        wrong = "only {count}, {message} and {value} can be filled in"
        yield _problem(rule, wrong, "summary")
    yield from _identity_problems(rule, metadata)
    own = rule.data.get("type") in options.OWN_TYPES
    for field in metadata.get("values", {}).values():
        if (hint := field_problem(str(field))) and not (own and field in options.FINDINGS):
            yield _problem(rule, hint, "values")


def _identity_problems(rule: Rule, metadata: Mapping[str, Any]) -> Iterator[Problem]:
    identity = metadata.get("identity", [])
    spans = rule.data.get("type") in options.SPANS
    if identity == "window":
        if not spans:
            yield _problem(rule, "window: only a rule that counts over a span has one", "identity")
        return
    if spans:
        text = "identity: window is missing: both ways to the notifier must name the alert alike"
        yield _problem(rule, text)
    if not isinstance(identity, list):
        yield _problem(rule, f"{identity!r} is neither window nor a list of fields", "identity")
        return
    for field in identity:
        if hint := field_problem(str(field)):
            yield _problem(rule, hint, "identity")


def _problem(rule: Rule, text: str, *names: str) -> Problem:
    key = options.METADATA
    return Problem(*rule.where(key, *names), f"{'.'.join((key, *names))}: {text}")


def filter_problems(rule: Rule) -> Iterator[Problem]:
    """Yield what is wrong with the filter, and with the fields that other options name."""
    filters = rule.data.get("filter", [])
    if not isinstance(filters, list):
        yield Problem(*rule.where("filter"), "filter: must be a list")
        return
    try:
        read_filter(filters)
        fields = list(fields_of(filters))
    except QueryError as error:
        yield Problem(*rule.where("filter"), f"filter: {error}")
        return
    for field in fields:
        if hint := field_problem(field):
            yield Problem(*rule.where("filter"), f"filter: {hint}")
    for event in _events_of(filters):
        if hint := _event_problem(event):
            yield Problem(*rule.where("filter"), f"filter: {hint}")
    yield from _option_problems(rule)


def _option_problems(rule: Rule) -> Iterator[Problem]:
    key = rule.data.get("query_key", [])
    named = {"query_key": key if isinstance(key, list) else [key]}
    if rule.data.get("type") in options.OWN_TYPES:
        matchers = {name: rule.data.get(name) for name in options.MATCHERS}
        measure = rule.data.get("measure")
        if isinstance(measure, dict):
            matchers["measure"] = measure.get("share")
            named["measure"] = [measure[name] for name in ("of", "lowest") if name in measure]
        for name, matcher in matchers.items():
            named[name] = [*named.get(name, []), *(matcher if isinstance(matcher, dict) else ())]
            for event in _events_of([{"terms": matcher}] if isinstance(matcher, dict) else []):
                if hint := _event_problem(event):
                    yield Problem(*rule.where(name), f"{name}: {hint}")
    for name, fields in named.items():
        for field in fields:
            if hint := field_problem(str(field)):
                yield Problem(*rule.where(name), f"{name}: {hint}")


def field_problem(field: str) -> str | None:
    """Return what is wrong with a field's name: a misspelt one just never finds anything."""
    bare = _bare(field)
    if bare in _DOCUMENT_FIELDS or bare in semconv.ATTRIBUTES:
        return None
    hint = options.suggestion(bare, {*semconv.ATTRIBUTES, *_DOCUMENT_FIELDS})
    return f"the field {field!r} is in no document{hint}"


def _event_problem(event: str) -> str | None:
    if event in semconv.EVENTS:
        return None
    hint = options.suggestion(event, semconv.EVENTS)
    return f"there is no event {event!r}{hint}"


def _events_of(query: object) -> Iterator[str]:
    """Yield the names of events that a query, or a list of queries, asks for."""
    if isinstance(query, list):
        for part in query:
            yield from _events_of(part)
    elif isinstance(query, Mapping):
        for kind, body in query.items():
            if kind in ("term", "terms") and isinstance(body, Mapping):
                for field, wanted in body.items():
                    if _bare(str(field)) == semconv.EVENT_NAME:
                        yield from map(str, wanted if isinstance(wanted, list) else [wanted])
            elif isinstance(body, Mapping | list):
                yield from _events_of(body)


def _bare(field: str) -> str:
    for prefix in _PREFIXES:
        field = field.removeprefix(prefix)
    return field
