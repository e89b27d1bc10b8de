"""Taking alerts in: idempotent, one window per fault, one delivery per channel.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.occasions import Form, Occasion, to_text
from ddcolor_operations.notifier.silences import silence_of

RECORD = "record"
Status = Literal["accepted", "held_back", "duplicate"]


def accept(
    connection: sqlite3.Connection,
    alert: Alert,
    channels: Sequence[str],
    now: float,
    window_s: float,
    *,
    not_before: float | None = None,
    at_once: Collection[str] = (),
    escalate_at: float | None = None,
) -> Status:
    """Store ``alert`` and, unless its fault spoke within ``window_s``, a delivery per channel.

    A silenced alert is stored and recorded only. While an episode is acknowledged, its further
    alerts are only counted: somebody knows.

    ``not_before`` is the end of the quiet hours that the alert has to wait for, except on the
    channels ``at_once``, which wake nobody; ``escalate_at`` is when a new episode calls for others.

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
    goes_on = window is not None and not window["quiet"]
    # A clock set back must not keep a window open for longer than its length.
    open_ = window is not None and 0 <= now - window["opened_at"] < window_s
    if open_ or (goes_on and is_acknowledged(connection, window["alert_seq"])):
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
    connection.execute(
        "INSERT OR REPLACE INTO windows (service, kind, level, alert_seq, opened_at, since,"
        " last_at, total, escalated, escalate_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            *(seq, now, window["since"] if goes_on else now, now),
            alert.count + (window["total"] if goes_on else 0),
            window["escalated"] if goes_on else 0,
            window["escalate_at"] if goes_on else escalate_at,
        ),
    )
    held = not_before is not None
    waiting = [name for name in channels if held and name not in {RECORD, *at_once}]
    _add_deliveries(connection, seq, alert, [n for n in channels if n not in waiting], now)
    add_occasion(connection, seq, alert.level, None, Form.HELD_OVER, waiting, now, not_before)
    return "accepted"


def is_acknowledged(connection: sqlite3.Connection, alert_seq: int) -> bool:
    """Tell whether the alert, and with it the episode whose window it holds, is acknowledged."""
    row = connection.execute(
        "SELECT 1 FROM acknowledgements WHERE alert_seq = ?", (alert_seq,)
    ).fetchone()
    return row is not None


def add_occasion(
    connection: sqlite3.Connection,
    alert_seq: int,
    level: int,
    occasion: Occasion,
    form: Form,
    channels: Iterable[str],
    now: float,
    not_before: float | None = None,
) -> None:
    """Add a delivery per channel of one more message about an alert that is already stored.

    A channel that is already to say the same is left alone.
    """
    text, next_at = to_text(occasion), now if not_before is None else not_before
    connection.executemany(
        "INSERT OR IGNORE INTO deliveries"
        " (alert_seq, channel, occasion, form, level, status, created_at, next_at)"
        " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?)",
        [(alert_seq, channel, text, form, level, next_at, next_at) for channel in channels],
    )


def _add_deliveries(
    connection: sqlite3.Connection,
    seq: int,
    alert: Alert,
    channels: Sequence[str],
    now: float,
) -> None:
    if RECORD in channels:
        # "record" means that the outbox itself is where the alert goes.
        connection.execute(
            "INSERT INTO deliveries"
            " (alert_seq, channel, level, status, created_at, next_at, delivered_at)"
            " VALUES (?, ?, ?, 'delivered', ?, ?, ?)",
            (seq, RECORD, alert.level, now, now, now),
        )
    others = [channel for channel in channels if channel != RECORD]
    add_occasion(connection, seq, alert.level, None, Form.ALERT, others, now)


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


def prune(connection: sqlite3.Connection, before: float) -> int:
    """Forget settled alerts received before ``before``; return how many.

    An alert with a delivery that is still pending is kept, however old. So is one that holds the
    window of an episode that is not over: its acknowledgement and its end would be lost with it.
    """
    connection.execute("DELETE FROM attempts WHERE started_at < ?", (before,))
    connection.execute("DELETE FROM silences WHERE until < ?", (before,))
    return connection.execute(
        "DELETE FROM alerts WHERE received_at < ? AND NOT EXISTS (SELECT 1 FROM deliveries"
        " WHERE alert_seq = alerts.seq AND status = 'pending')"
        " AND seq NOT IN (SELECT alert_seq FROM windows WHERE NOT quiet)",
        (before,),
    ).rowcount
