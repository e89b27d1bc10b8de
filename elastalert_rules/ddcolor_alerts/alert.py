"""From a rule's match to the alert that the notifier takes.

Everything here is a pure function of the rule and the match, so the same document gives the same
alert however often, and by whatever process, it is seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from elastalert.util import EAException, lookup_es_key, ts_to_dt

from ddcolor_alerts.redaction import redact

METADATA = "x-ddcolor"
FROM_RECORD = "from_record"
UNKNOWN_KIND = "execution_error"
UNKNOWN_SERVICE = "unknown"
# `identity: window`: one alert for each key and span of time, not for each record.
WINDOW = "window"

# What this project's rule types add to the record at which they fire: `count` (how often, for the
# reader), `value` (what was measured) and `samples` (over how many records).
FINDING = "finding"

# Where a document of the collectors' otel mapping holds what an alert says.
MESSAGE = "body.text"
RECORD_UID = "attributes.log.record.uid"
ERROR_KIND = "attributes.comfyui.error.kind"
NODE_CLASS = "attributes.comfyui.node.class_type"
NODE_ID = "attributes.comfyui.node.id"
PROMPT_ID = "attributes.comfyui.prompt.id"
PART_NAME = "attributes.ddcolor.part.name"
SERVICE_NAME = "resource.attributes.service.name"

SUMMARY_LENGTH = 500
_NAME_LENGTH = 256

Rule = Mapping[str, Any]
Match = Mapping[str, Any]


def check_metadata(rule: Rule) -> None:
    """Raise EAException when the rule's ``x-ddcolor`` part cannot make an alert."""
    metadata = rule.get(METADATA)
    where = f"{rule.get('name')}: {METADATA}"
    if not isinstance(metadata, dict):
        raise EAException(f"{where}: missing: give kind, level, owner and runbook")
    if not isinstance(metadata.get("kind"), str):
        raise EAException(f"{where}.kind: name a kind of the fault catalogue, or {FROM_RECORD}")
    if metadata.get("level") not in (1, 2, 3):
        raise EAException(f"{where}.level: {metadata.get('level')!r} is not 1, 2 or 3")
    identity = metadata.get("identity", [])
    if identity != WINDOW and not isinstance(identity, list):
        raise EAException(
            f"{where}.identity: {identity!r} is neither {WINDOW} nor a list of fields"
        )
    try:
        str(metadata.get("summary", "")).format(count=1, message="", value=0.5)
    except (KeyError, IndexError, ValueError) as error:
        known = "{count}, {message} and {value}"
        raise EAException(f"{where}.summary: only {known} are known") from error


def build_alert(rule: Rule, match: Match) -> dict[str, Any]:
    """Return the JSON object that the notifier's ``POST /alerts`` takes."""
    metadata = rule[METADATA]
    kind = metadata["kind"]
    if kind == FROM_RECORD:
        kind = _text(match, ERROR_KIND) or UNKNOWN_KIND
    count = _count(match)
    return {
        "alert_id": alert_id(rule, match),
        "rule": rule["name"],
        "kind": kind,
        "level": metadata["level"],
        "owner": metadata.get("owner"),
        "service": service_of(rule, match),
        "node": _text(match, NODE_CLASS),
        "node_id": _text(match, NODE_ID),
        "prompt_id": _text(match, PROMPT_ID),
        "trace_id": _text(match, "trace_id"),
        "occurred_at": rfc3339(occurred_at(rule, match)),
        "summary": _summary(rule, match, count),
        "count": count,
        "values": _values(metadata.get("values", {}), match),
    }


def alert_id(rule: Rule, match: Match) -> str:
    """Return 32 hex digits that name this fault under this rule, for ever.

    They are made of what every way to the notifier knows alike: never of the time of ingest, which
    each way has its own. A fault that one record says has its id from that record's uid, or from
    the fields that the rule names as ``identity``, when several records say it. What a rule finds
    over many records has its id from its key and its span of time (``identity: window``), because
    records that change places on their way let it fire at another one of them.
    """
    identity = rule[METADATA].get("identity", ())
    if identity == WINDOW:
        parts: list[str | None] = [_key(rule, match), _window(rule, match)]
    else:
        parts = [_text(match, field) for field in identity]
        if not parts or None in parts:
            parts = [_text(match, RECORD_UID) or _text(match, "_id")]
        if None in parts:
            parts = [_key(rule, match), _window(rule, match)]
    text = "|".join([rule["name"], *(part or "" for part in parts)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _key(rule: Rule, match: Match) -> str:
    name = rule.get("query_key")
    value = lookup_es_key(match, name) if name else None
    return str(match.get("key", "") if value is None else value)


def _window(rule: Rule, match: Match) -> str:
    """Return the number of the span, as long as the rule then says nothing more of the key.

    So the next alert of one way is always of another span.
    """
    length: timedelta = rule.get("realert") or rule.get("timeframe") or rule["buffer_time"]
    seconds = max(1.0, length.total_seconds())
    return str(int(occurred_at(rule, match).timestamp() // seconds))


def _count(match: Match) -> int:
    counted = lookup_es_key(match, f"{FINDING}.count")
    if isinstance(counted, int):
        return counted
    related = match.get("related_events")
    return len(related) + 1 if isinstance(related, list) else 1


def service_of(rule: Rule, match: Match) -> str:
    """Return the service that failed: a dead part itself, not the supervisor that says so.

    The match of a flatline is no record; whose it is it says as its key.
    """
    part = _text(match, PART_NAME)
    if part:
        return f"ddcolor-{part}"
    key = _text(match, "key") if rule.get("query_key") == SERVICE_NAME else None
    return _text(match, SERVICE_NAME) or key or UNKNOWN_SERVICE


def _summary(rule: Rule, match: Match, count: int) -> str:
    message = _text(match, MESSAGE, SUMMARY_LENGTH) or str(rule.get("description", ""))
    template = rule[METADATA].get("summary", "{message}")
    value = lookup_es_key(match, f"{FINDING}.value")
    number = float(value) if isinstance(value, int | float) else 0.0
    return redact(template.format(count=count, message=message, value=number))[:SUMMARY_LENGTH]


def _values(fields: Mapping[str, str], match: Match) -> dict[str, str | float | bool]:
    found = {name: lookup_es_key(match, field) for name, field in fields.items()}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def _text(match: Match, field: str, limit: int = _NAME_LENGTH) -> str | None:
    value = lookup_es_key(match, field)
    if value is None or isinstance(value, dict | list):
        return None
    return str(value)[:limit] or None


def occurred_at(rule: Rule, match: Match) -> datetime:
    """Return when it happened, as the record says."""
    for field in ("@timestamp", rule.get("timestamp_field", "@timestamp")):
        moment = to_moment(lookup_es_key(match, field))
        if moment is not None:
            return moment
    return datetime.now(UTC)


def to_moment(value: object) -> datetime | None:
    """Read a time, or None; the collectors write milliseconds, "1732450000123.456789"."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return datetime.fromtimestamp(float(str(value)) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        moment = datetime.fromisoformat(str(value))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        guessed: datetime = ts_to_dt(str(value))
    except (ValueError, OverflowError):
        return None
    return guessed


def rfc3339(moment: datetime) -> str:
    """Return a time in UTC with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
