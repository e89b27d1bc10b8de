"""Taking alerts in: idempotent, one window per fault, one delivery per channel; and showing them.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Literal

from ddcolor_operations.notifier.alert import Alert, to_rfc3339
from ddcolor_operations.notifier.silences import silence_of

RECORD = "record"
Status = Literal["accepted", "held_back", "duplicate"]


def accept(
    connection: sqlite3.Connection,
    alert: Alert,
    channels: Sequence[str],
    now: float,
    window_s: float,
) -> Status:
    """Store ``alert`` and, unless its fault spoke within ``window_s``, a delivery per channel.

    A silenced alert is stored and recorded only.

    The window is keyed by service, kind and level: the third failure in a row (level 3) is not
    held back by the first (level 2).
    """
    known = connection.execute(
        "SELECT 1 FROM alerts WHERE alert_id = ?", (alert.alert_id,)
    ).fetchone()
    if known:
        return "duplicate"
    silence = silence_of(connection, alert, now)
    if silence is not None:
        # It opens no window: the first alert after the silence shall speak.
        seq = _insert(connection, alert, now, "accepted", silence=silence)
        _add_deliveries(connection, seq, alert, (RECORD,), now)
        return "accepted"
    key = (alert.service, alert.kind, alert.level)
    window = connection.execute(
        "SELECT * FROM windows WHERE service = ? AND kind = ? AND level = ?", key
    ).fetchone()
    # A clock set back must not keep a window open for longer than its length.
    if window and 0 <= now - window["opened_at"] < window_s:
        _insert(connection, alert, now, "held_back")
        connection.execute(
            "UPDATE windows SET held_back = held_back + 1, last_at = ?, total = total + ?"
            " WHERE service = ? AND kind = ? AND level = ?",
            (now, alert.count, *key),
        )
        connection.execute(
            "UPDATE alerts SET held_back = held_back + 1 WHERE seq = ?", (window["alert_seq"],)
        )
        return "held_back"
    held_before = window["held_back"] if window else 0
    seq = _insert(connection, alert, now, "accepted", held_before=held_before)
    goes_on = window is not None and not window["quiet"]
    connection.execute(
        "INSERT OR REPLACE INTO windows"
        " (service, kind, level, alert_seq, opened_at, since, last_at, total)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            *(seq, now, window["since"] if goes_on else now, now),
            alert.count + (window["total"] if goes_on else 0),
        ),
    )
    _add_deliveries(connection, seq, alert, channels, now)
    return "accepted"


def _add_deliveries(
    connection: sqlite3.Connection, seq: int, alert: Alert, channels: Sequence[str], now: float
) -> None:
    connection.executemany(
        "INSERT INTO deliveries"
        " (alert_seq, channel, level, status, created_at, next_at, delivered_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            # "record" means that the outbox itself is where the alert goes.
            (seq, channel, alert.level, "delivered", now, now, now)
            if channel == RECORD
            else (seq, channel, alert.level, "pending", now, now, None)
            for channel in channels
        ],
    )


def _insert(
    connection: sqlite3.Connection,
    alert: Alert,
    now: float,
    status: str,
    *,
    held_before: int = 0,
    silence: int | None = None,
) -> int:
    cursor = connection.execute(
        "INSERT INTO alerts"
        " (alert_id, service, kind, level, body, received_at, status, held_before, silence)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            alert.alert_id,
            alert.service,
            alert.kind,
            alert.level,
            json.dumps(alert.to_json(), ensure_ascii=False),
            now,
            status,
            held_before,
            silence,
        ),
    )
    seq = cursor.lastrowid
    if seq is None:  # pragma: no cover - an INSERT always has a row id
        raise sqlite3.InternalError("no row id after an insert")
    return seq


def list_alerts(
    connection: sqlite3.Connection, since: float, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return the alerts received at or after ``since``, oldest first, and whether more exist."""
    rows = connection.execute(
        "SELECT * FROM alerts WHERE received_at >= ? ORDER BY seq LIMIT ?", (since, limit + 1)
    ).fetchall()
    return [_shown(connection, row) for row in rows[:limit]], len(rows) > limit


def find_alerts(connection: sqlite3.Connection, prefix: str) -> list[dict[str, Any]]:
    """Return up to two alerts whose id starts with ``prefix`` (hex digits only)."""
    rows = connection.execute(
        "SELECT * FROM alerts WHERE alert_id >= ? AND alert_id < ? ORDER BY alert_id LIMIT 2",
        (prefix, prefix + "g"),
    ).fetchall()
    return [_shown(connection, row) for row in rows]


def _shown(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    deliveries = connection.execute(
        "SELECT * FROM deliveries WHERE alert_seq = ? ORDER BY seq", (row["seq"],)
    ).fetchall()
    shown_deliveries = [(d["episode"], _shown_delivery(d)) for d in deliveries]
    shown: dict[str, Any] = json.loads(row["body"])
    shown |= {
        "status": row["status"],
        "held_back": row["held_back"],
        "held_before": row["held_before"],
        "silence": row["silence"],
        "received_at": to_rfc3339(row["received_at"]),
        "deliveries": [shown for episode, shown in shown_deliveries if not episode],
        "quiet_deliveries": [shown for episode, shown in shown_deliveries if episode],
    }
    return shown


def _shown_delivery(row: sqlite3.Row) -> dict[str, Any]:
    delivered_at = row["delivered_at"]
    return {
        "channel": row["channel"],
        "status": row["status"],
        "attempts": row["attempts"],
        "delivered_at": None if delivered_at is None else to_rfc3339(delivered_at),
        "next_at": to_rfc3339(row["next_at"]) if row["status"] == "pending" else None,
        "maybe_sent": bool(row["maybe_sent"]),
        "error": row["error"],
    }


def prune(connection: sqlite3.Connection, before: float) -> int:
    """Forget settled alerts received before ``before``; return how many.

    An alert with a delivery that is still pending is kept, however old.
    """
    connection.execute("DELETE FROM attempts WHERE started_at < ?", (before,))
    connection.execute("DELETE FROM silences WHERE until < ?", (before,))
    return connection.execute(
        "DELETE FROM alerts WHERE received_at < ? AND NOT EXISTS (SELECT 1 FROM deliveries"
        " WHERE alert_seq = alerts.seq AND status = 'pending')",
        (before,),
    ).rowcount
