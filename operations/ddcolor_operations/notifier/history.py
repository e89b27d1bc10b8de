"""Showing the outbox: alerts with all that became of them.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from ddcolor_operations.notifier.alert import to_rfc3339
from ddcolor_operations.notifier.occasions import Form


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


def list_open(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the episodes that are not over: loudest first, then what nobody has taken on."""
    rows = connection.execute(
        "SELECT windows.*, alerts.alert_id, acknowledgements.by FROM windows"
        " JOIN alerts ON alerts.seq = windows.alert_seq"
        " LEFT JOIN acknowledgements ON acknowledgements.alert_seq = windows.alert_seq"
        " WHERE NOT quiet ORDER BY windows.level DESC, acknowledgements.at IS NOT NULL, since"
    ).fetchall()
    return [
        {
            **{name: row[name] for name in ("service", "kind", "level", "total", "alert_id")},
            "since": to_rfc3339(row["since"]),
            "last_at": to_rfc3339(row["last_at"]),
            "acknowledged": _acknowledgement(connection, row["alert_seq"]),
            "calls": row["escalated"],
            "next_call_at": _due(row) if row["by"] is None else None,
        }
        for row in rows
    ]


def _due(row: sqlite3.Row) -> str | None:
    return None if row["escalate_at"] is None else to_rfc3339(row["escalate_at"])


def _shown(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    deliveries = connection.execute(
        "SELECT * FROM deliveries WHERE alert_seq = ? ORDER BY seq", (row["seq"],)
    ).fetchall()
    by_form: dict[Form, list[dict[str, Any]]] = {form: [] for form in Form}
    for delivery in deliveries:
        by_form[Form(delivery["form"])].append(_shown_delivery(delivery))
    shown: dict[str, Any] = json.loads(row["body"])
    shown |= {
        "status": row["status"],
        "held_back": row["held_back"],
        "held_before": row["held_before"],
        "silence": row["silence"],
        "received_at": to_rfc3339(row["received_at"]),
        "acknowledged": _acknowledgement(connection, row["seq"]),
        "deliveries": [*by_form[Form.ALERT], *by_form[Form.HELD_OVER]],
        "escalations": by_form[Form.ESCALATION],
        "quiet_deliveries": by_form[Form.OVER],
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


def _acknowledgement(connection: sqlite3.Connection, alert_seq: int) -> dict[str, Any] | None:
    row = connection.execute(
        "SELECT * FROM acknowledgements WHERE alert_seq = ?", (alert_seq,)
    ).fetchone()
    if row is None:
        return None
    return {
        "at": to_rfc3339(row["at"]),
        **{name: row[name] for name in ("by", "note", "waited_s")},
    }
