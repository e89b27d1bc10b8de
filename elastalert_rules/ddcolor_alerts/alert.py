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
    try:
        str(metadata.get("summary", "")).format(count=1, message="")
    except (KeyError, IndexError, ValueError) as error:
        raise EAException(f"{where}.summary: only {{count}} and {{message}} are known") from error


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
        "service": _service(match),
        "node": _text(match, NODE_CLASS),
        "node_id": _text(match, NODE_ID),
        "prompt_id": _text(match, PROMPT_ID),
        "trace_id": _text(match, "trace_id"),
        "occurred_at": _rfc3339(_occurred_at(rule, match)),
        "summary": _summary(rule, match, count),
        "count": count,
        "values": _values(metadata.get("values", {}), match),
    }


def alert_id(rule: Rule, match: Match) -> str:
    """Return 32 hex digits that name this fault under this rule, for ever.

    From the fields that the rule names as ``identity``; else from the record's uid, also for a
    match that sums up several records (it is made of the last one); else, for an aggregation that
    has no record, from its key and its window.
    """
    fields = rule[METADATA].get("identity", ())
    parts = [_text(match, field) for field in fields]
    if not fields or None in parts:
        uid = _text(match, RECORD_UID) or _text(match, "_id")
        parts = [uid] if uid else [_key(rule, match), _window(rule, match)]
    text = "|".join([rule["name"], *(part or "" for part in parts)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _key(rule: Rule, match: Match) -> str:
    name = rule.get("query_key")
    value = lookup_es_key(match, name) if name else None
    return str(match.get("key", "") if value is None else value)


def _window(rule: Rule, match: Match) -> str:
    length: timedelta = rule.get("timeframe") or rule["buffer_time"]
    seconds = max(1.0, length.total_seconds())
    return str(int(_occurred_at(rule, match).timestamp() // seconds))


def _count(match: Match) -> int:
    in_a_row = match.get("consecutive_failures")
    if isinstance(in_a_row, int):
        return in_a_row
    related = match.get("related_events")
    return len(related) + 1 if isinstance(related, list) else 1


def _service(match: Match) -> str:
    """Return the service that failed: a dead part itself, not the supervisor that says so."""
    part = _text(match, PART_NAME)
    return f"ddcolor-{part}" if part else _text(match, SERVICE_NAME) or UNKNOWN_SERVICE


def _summary(rule: Rule, match: Match, count: int) -> str:
    message = _text(match, MESSAGE, SUMMARY_LENGTH) or str(rule.get("description", ""))
    template = rule[METADATA].get("summary", "{message}")
    return redact(template.format(count=count, message=message))[:SUMMARY_LENGTH]


def _values(fields: Mapping[str, str], match: Match) -> dict[str, str | float | bool]:
    found = {name: lookup_es_key(match, field) for name, field in fields.items()}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def _text(match: Match, field: str, limit: int = _NAME_LENGTH) -> str | None:
    value = lookup_es_key(match, field)
    if value is None or isinstance(value, dict | list):
        return None
    return str(value)[:limit] or None


def _occurred_at(rule: Rule, match: Match) -> datetime:
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
        moment: datetime = ts_to_dt(str(value))
    except (ValueError, OverflowError):
        return None
    return moment


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
