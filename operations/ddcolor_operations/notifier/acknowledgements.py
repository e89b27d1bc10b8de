"""Somebody takes a fault on: its episode escalates no more and repeats itself no more.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from comfyui_telemetry import redact
from ddcolor_operations.notifier.alert import Alert, AlertError, to_rfc3339
from ddcolor_operations.notifier.occasions import Form

_BY_LIMIT, _NOTE_LIMIT = 64, 256
_WINDOWS = (
    "SELECT windows.*, alerts.body, acknowledgements.at, acknowledgements.by, note, waited_s"
    " FROM windows JOIN alerts ON alerts.seq = windows.alert_seq"
    " LEFT JOIN acknowledgements ON acknowledgements.alert_seq = windows.alert_seq"
    " WHERE NOT quiet AND windows.service = :service AND windows.kind = :kind"
)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who takes it on, with a note; both may be empty. ``service`` and ``kind`` name a fault."""

    by: str
    note: str
    service: str
    kind: str

    @classmethod
    def from_json(cls, data: object, *, of_alert: bool) -> Acknowledgement:
        """Validate a decoded JSON body; raises AlertError.

        ``of_alert`` when the address names an alert already: then the body names no fault.
        """
        if not isinstance(data, dict):
            raise AlertError('the body must be one JSON object: send {"by": ...}')
        limits = {"by": _BY_LIMIT, "note": _NOTE_LIMIT}
        if not of_alert:
            limits |= {"service": _NOTE_LIMIT, "kind": _NOTE_LIMIT}
        unknown = set(data) - set(limits)
        if unknown:
            raise AlertError(f"{min(unknown)}: unknown field: remove it")
        texts = {name: data.get(name, "") for name in limits}
        for name, text in texts.items():
            if not isinstance(text, str) or len(text) > limits[name]:
                raise AlertError(f"{name}: send a text of at most {limits[name]} characters")
        if not of_alert and not (texts["service"] and texts["kind"]):
            raise AlertError("service: name the service and the kind of the fault")
        return cls(
            by=redact(texts["by"].strip()),
            note=redact(texts["note"].strip()),
            service=texts.get("service", ""),
            kind=texts.get("kind", ""),
        )


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One episode that is taken on; ``already`` when it was before."""

    alert: Alert
    by: str
    note: str
    at: float
    waited_s: float
    already: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as it is answered."""
        return {
            "alert_id": self.alert.alert_id,
            "service": self.alert.service,
            "kind": self.alert.kind,
            "level": self.alert.level,
            "by": self.by,
            "note": self.note,
            "at": to_rfc3339(self.at),
            "waited_s": round(self.waited_s, 3),
            "already": self.already,
        }


def acknowledge_alert(
    connection: sqlite3.Connection, alert_id: str, given: Acknowledgement, now: float
) -> Sequence[Acknowledged]:
    """Take on the episode of one alert; empty when it is over, or never spoke."""
    row = connection.execute(
        "SELECT service, kind, level, received_at FROM alerts WHERE alert_id = ?", (alert_id,)
    ).fetchone()
    if row is None:
        return []
    windows = connection.execute(
        # An alert of an earlier episode must not take on the one of today.
        f"{_WINDOWS} AND windows.level = :level AND windows.since <= :received_at",
        dict(row),
    ).fetchall()
    return [_take_on(connection, window, given, now) for window in windows]


def acknowledge_fault(
    connection: sqlite3.Connection, given: Acknowledgement, now: float
) -> Sequence[Acknowledged]:
    """Take on the episodes of a kind of fault of a service, of every level; empty when none is."""
    windows = connection.execute(
        f"{_WINDOWS} ORDER BY windows.level DESC",
        {"service": given.service, "kind": given.kind},
    ).fetchall()
    return [_take_on(connection, window, given, now) for window in windows]


def _take_on(
    connection: sqlite3.Connection, window: sqlite3.Row, given: Acknowledgement, now: float
) -> Acknowledged:
    alert = Alert.from_stored(json.loads(window["body"]))
    if window["at"] is not None:
        return Acknowledged(
            alert, window["by"], window["note"], window["at"], window["waited_s"], already=True
        )
    waited_s = max(now - window["since"], 0.0)
    connection.execute(
        "INSERT INTO acknowledgements (alert_seq, at, by, note, waited_s) VALUES (?, ?, ?, ?, ?)",
        (window["alert_seq"], now, given.by, given.note, waited_s),
    )
    # A call that is still waiting to be sent has nobody left to reach; one that was tried may
    # have arrived and stays visible.
    connection.execute(
        "DELETE FROM deliveries WHERE form = ? AND status = 'pending' AND attempts = 0"
        " AND alert_seq IN (SELECT seq FROM alerts"
        " WHERE service = ? AND kind = ? AND level = ? AND received_at >= ?)",
        (Form.ESCALATION, *(window[name] for name in ("service", "kind", "level", "since"))),
    )
    return Acknowledged(alert, given.by, given.note, now, waited_s, already=False)
