"""Silences: alerts of planned work are recorded and sent to nobody, until a set time.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import fnmatch
import sqlite3
from dataclasses import dataclass
from typing import Any

from comfyui_telemetry import redact
from ddcolor_operations.notifier.alert import Alert, AlertError, to_rfc3339

_LONGEST_S = 30 * 86400
_TEXT_LIMIT = 256
_PATTERNS = ("service", "kind", "rule")


@dataclass(frozen=True, slots=True)
class Silence:
    """What to silence: shell patterns over service, kind and rule, all of which must match."""

    service: str
    kind: str
    rule: str
    seconds: float
    reason: str

    @classmethod
    def from_json(cls, data: object) -> Silence:
        """Validate a decoded JSON body; raises AlertError.

        At least one pattern must be given: silencing everything is asked for as ``"service": "*"``.
        """
        if not isinstance(data, dict):
            raise AlertError('the body must be one JSON object: send {"service": ..., ...}')
        unknown = set(data) - {*_PATTERNS, "seconds", "reason"}
        if unknown:
            raise AlertError(f"{min(unknown)}: unknown field: remove it")
        texts = {name: data.get(name, "") for name in (*_PATTERNS, "reason")}
        for name, text in texts.items():
            if not isinstance(text, str) or len(text) > _TEXT_LIMIT:
                raise AlertError(f"{name}: send a text of at most {_TEXT_LIMIT} characters")
        if not any(texts[name] for name in _PATTERNS):
            raise AlertError('service: give a pattern for service, kind or rule ("*" for all)')
        seconds = data.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise AlertError("seconds: send how long to be silent, a number")
        if not 1 <= seconds <= _LONGEST_S:
            raise AlertError(f"seconds: {seconds} is not within 1 and {_LONGEST_S} (30 days)")
        patterns = {name: texts[name] or "*" for name in _PATTERNS}
        return cls(**patterns, seconds=seconds, reason=redact(texts["reason"]))


def add_silence(connection: sqlite3.Connection, silence: Silence, now: float) -> int:
    """Start a silence; return its number."""
    return int(
        connection.execute(
            "INSERT INTO silences (service, kind, rule, reason, since, until)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING seq",
            (
                *(silence.service, silence.kind, silence.rule, silence.reason),
                *(now, now + silence.seconds),
            ),
        ).fetchone()["seq"]
    )


def end_silence(connection: sqlite3.Connection, number: int, now: float) -> bool:
    """End a silence before its time; return whether there was one."""
    return (
        connection.execute(
            "UPDATE silences SET until = ? WHERE seq = ? AND until > ?", (now, number, now)
        ).rowcount
        == 1
    )


def list_silences(connection: sqlite3.Connection, now: float) -> list[dict[str, Any]]:
    """Return the silences in force, with how many alerts each has silenced."""
    rows = connection.execute(
        "SELECT *, (SELECT count(*) FROM alerts WHERE silence = silences.seq) AS alerts"
        " FROM silences WHERE until > ? ORDER BY seq",
        (now,),
    ).fetchall()
    return [
        {
            "id": row["seq"],
            **{name: row[name] for name in (*_PATTERNS, "reason", "alerts")},
            "since": to_rfc3339(row["since"]),
            "until": to_rfc3339(row["until"]),
        }
        for row in rows
    ]


def silence_of(connection: sqlite3.Connection, alert: Alert, now: float) -> int | None:
    """Return the number of the silence that covers ``alert``, or None."""
    for row in connection.execute("SELECT * FROM silences WHERE until > ? ORDER BY seq", (now,)):
        if all(fnmatch.fnmatchcase(getattr(alert, name), row[name]) for name in _PATTERNS):
            return int(row["seq"])
    return None
