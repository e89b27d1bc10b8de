"""The alert as rules post it: validation with errors that say what, where and what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from comfyui_telemetry import redact

Scalar = str | int | float | bool

_SUMMARY_LIMIT = 2000
_NAME_LIMIT = 256
_VALUES_LIMIT = 20
_HEX_32 = re.compile(r"[0-9a-f]{32}")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")


class AlertError(ValueError):
    """The posted alert is not usable; the text says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One validated alert. ``summary`` and the names are redacted; ids are plain hex or text."""

    alert_id: str
    rule: str
    kind: str
    level: int
    service: str
    occurred_at: datetime
    node: str | None
    node_id: str | None
    prompt_id: str | None
    trace_id: str | None
    summary: str
    count: int
    values: Mapping[str, Scalar]
    owner: str | None = None

    @classmethod
    def from_json(cls, data: object) -> Alert:
        """Validate a decoded JSON body.

        Fields that are not known are ignored, because a newer rule must not lose its alert over
        one; a field that is known and wrong raises :class:`AlertError`.
        """
        if not isinstance(data, dict):
            raise AlertError('the body must be one JSON object: send {"alert_id": ..., ...}')
        level = _integer(data, "level", low=1)
        if level > 3:
            raise AlertError(
                f"level: {level} is not a level: use 1 (record), 2 (chat) or 3 (critical)"
            )
        return cls(
            alert_id=_matching(data, "alert_id", _HEX_32, "32 lower-case hex digits"),
            rule=name_field(data, "rule"),
            kind=_matching(data, "kind", _KIND, "a kind of the fault catalogue, as out_of_memory"),
            level=level,
            service=name_field(data, "service"),
            occurred_at=time_field(data, "occurred_at"),
            node=_optional_name(data, "node"),
            node_id=_optional_name(data, "node_id"),
            prompt_id=_optional_name(data, "prompt_id"),
            trace_id=(
                None
                if data.get("trace_id") is None
                else _matching(data, "trace_id", _HEX_32, "32 lower-case hex digits, or null")
            ),
            summary=redact(_text(data, "summary", "")[:_SUMMARY_LIMIT]),
            count=_integer(data, "count", low=1, default=1),
            values=_values(data),
            owner=_optional_name(data, "owner"),
        )

    @classmethod
    def from_stored(cls, data: Mapping[str, Any]) -> Alert:
        """Return the alert that :meth:`to_json` wrote, unchecked: it was valid when it was taken.

        Checking again would let a stricter version refuse, for ever, what is already accepted.
        """
        return cls(**{**data, "occurred_at": datetime.fromisoformat(data["occurred_at"])})

    def to_json(self) -> dict[str, Any]:
        """Return the alert as it is stored and shown, with ``occurred_at`` in UTC."""
        return {
            "alert_id": self.alert_id,
            "rule": self.rule,
            "kind": self.kind,
            "level": self.level,
            "service": self.service,
            "node": self.node,
            "node_id": self.node_id,
            "prompt_id": self.prompt_id,
            "trace_id": self.trace_id,
            "occurred_at": to_rfc3339(self.occurred_at),
            "summary": self.summary,
            "count": self.count,
            "values": dict(self.values),
            "owner": self.owner,
        }


def to_rfc3339(moment: datetime | float) -> str:
    """Return a time (aware, or seconds since the epoch) as RFC 3339 in UTC, microseconds."""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str, where: str) -> datetime:
    """Return the aware time that ``text`` says; raises :class:`AlertError` that names ``where``."""
    try:
        moment = datetime.fromisoformat(text)
        # A year at the edge of the calendar has no UTC equivalent: refuse it here, not when it
        # is shown.
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise AlertError(
            f"{where}: {text[:40]!r} is not a time with a zone: send RFC 3339, as"
            " 2026-01-31T08:30:00Z"
        )
    return moment


def _text(data: Mapping[str, object], field: str, default: str | None = None) -> str:
    value = data.get(field, default)
    if value is None:
        raise AlertError(f"{field}: missing: send a text")
    if not isinstance(value, str):
        raise AlertError(f"{field}: {type(value).__name__} is not a text: send a JSON string")
    # A lone surrogate is valid in JSON and has no UTF-8: it could be neither stored nor sent.
    return value.encode("utf-8", "replace").decode("utf-8")


def name_field(data: Mapping[str, object], field: str) -> str:
    """Return a required, redacted name; raises :class:`AlertError`."""
    value = _text(data, field).strip()
    if not value or len(value) > _NAME_LIMIT:
        raise AlertError(f"{field}: must have 1 to {_NAME_LIMIT} characters, has {len(value)}")
    return redact(value)


def _optional_name(data: Mapping[str, object], field: str) -> str | None:
    """Return a text that only describes: an alert is not refused over one that is odd."""
    if data.get(field) is None:
        return None
    return redact(_text(data, field).strip()[:_NAME_LIMIT]) or None


def _matching(data: Mapping[str, object], field: str, pattern: re.Pattern[str], what: str) -> str:
    value = _text(data, field)
    if pattern.fullmatch(value) is None:
        raise AlertError(f"{field}: {value[:40]!r} does not fit: send {what}")
    return value


def _integer(
    data: Mapping[str, object], field: str, *, low: int, default: int | None = None
) -> int:
    value = data.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**53:
        raise AlertError(f"{field}: {str(value)[:40]!r} does not fit: send a whole number >= {low}")
    return value


def time_field(data: Mapping[str, object], field: str) -> datetime:
    """Return a required, aware time; raises :class:`AlertError`."""
    return parse_rfc3339(_text(data, field), field)


def _values(data: Mapping[str, object]) -> dict[str, Scalar]:
    values = data.get("values", {})
    if not isinstance(values, dict) or len(values) > _VALUES_LIMIT:
        raise AlertError(f"values: send an object of at most {_VALUES_LIMIT} names and numbers")
    kept: dict[str, Scalar] = {}
    for key, value in values.items():
        if isinstance(value, str):
            kept[name_field({"values": key}, "values")] = redact(value[:_NAME_LIMIT])
        elif isinstance(value, float) and not math.isfinite(value):
            # JSON has no such number; Python's reader takes it all the same.
            kept[name_field({"values": key}, "values")] = str(value)
        elif isinstance(value, int | float):
            kept[name_field({"values": key}, "values")] = value
        else:
            raise AlertError(f"values.{key[:40]}: send a number, a text or a boolean")
    return kept
