"""The deliveries of one channel: what may be sent now, and what became of it.

A try is on disk before its first byte leaves (:func:`claim`) and its result right after the
channel's answer (:func:`settle`). A process that dies in between leaves a try without an end;
:func:`recover` finds it at the next start and marks its deliveries as maybe sent. That span (one
round trip and one commit) is the only one in which a message can be doubled, and the second one
says so.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ddcolor_operations.notifier.alert import Alert, to_rfc3339
from ddcolor_operations.notifier.channels.base import (
    Blocked,
    Delivered,
    GiveUp,
    Outcome,
    Retry,
)
from ddcolor_operations.notifier.occasions import Form, Occasion, from_text

#: A robot counts a request when it arrives, we when its answer came: later, so never too fast. The
#: margin is for clocks that run at different speeds.
_RATE_WINDOW_S = 60.5
#: Most deliveries in one digest; the rest follows in the next.
_DIGEST_LIMIT = 500
_LATELY_S = 86400.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait between tries (s) and after which age (s) a delivery is dead."""

    first_s: float = 1.0
    cap_s: float = 60.0
    give_up_after_s: float = 24 * 3600.0

    def delay(self, failures: int) -> float:
        """Return the wait after ``failures`` tries in a row: doubling, capped, half of it random.

        The jitter keeps several notifiers from hitting a robot that recovers at one moment.
        """
        full = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret


@dataclass(frozen=True, slots=True)
class Pace:
    """A channel's limits: messages a minute (None: none), and when many become one digest.

    Without ``digests`` each alert is a request of its own, however many wait.
    """

    per_minute: int | None
    digest_from: int = 5
    digests: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery in a claim, with its alert; ``occasion`` is None for the alert itself."""

    seq: int
    alert: Alert
    attempts: int
    failures: int
    created_at: float
    received_at: float
    held_before: int
    maybe_sent: bool
    occasion: Occasion = None
    form: Form = Form.ALERT


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries of one form that one request to the channel shall carry; several are a digest."""

    attempt_seq: int
    channel: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be sent before ``until``; None means until a new alert comes."""

    until: float | None


def claim(connection: sqlite3.Connection, channel: str, pace: Pace, now: float) -> Claim | Wait:
    """Choose what to send now and record the try, or say how long to wait.

    Loudest and oldest first. When more is due than the channel still takes in this minute, or
    ``digest_from`` of a level are due at once (a storm, or a channel that was down), all go as
    one digest. What waited for the end of the quiet hours is always one digest.
    """
    block = connection.execute(
        "SELECT until FROM blocks WHERE channel = ? AND until > ?", (channel, now)
    ).fetchone()
    if block:
        return Wait(block["until"])
    rows = connection.execute(
        "SELECT deliveries.*, alerts.body, alerts.received_at, alerts.held_before"
        " FROM deliveries JOIN alerts ON alerts.seq = deliveries.alert_seq"
        " WHERE channel = ? AND deliveries.status = 'pending' AND next_at <= ?"
        " ORDER BY form, deliveries.level DESC, deliveries.seq LIMIT ?",
        (channel, now, _DIGEST_LIMIT),
    ).fetchall()
    rows = [row for row in rows if row["form"] == rows[0]["form"]]
    if not rows:
        (earliest,) = connection.execute(
            "SELECT min(next_at) FROM deliveries WHERE channel = ? AND status = 'pending'",
            (channel,),
        ).fetchone()
        return Wait(earliest)
    free, next_free = _free_slots(connection, channel, pace, now)
    if free == 0:
        return Wait(next_free)
    # Messages of the highest level go alone while they are few, and leave a slot for the rest.
    top = sum(row["level"] == rows[0]["level"] for row in rows)
    few = top < pace.digest_from and top + (len(rows) > top) <= free
    alone = (few and rows[0]["form"] != Form.HELD_OVER) or not pace.digests
    items = tuple(_item(row) for row in (rows[:1] if alone else rows))
    attempt_seq = connection.execute(
        "INSERT INTO attempts (channel, started_at) VALUES (?, ?)", (channel, now)
    ).lastrowid
    connection.executemany(
        "UPDATE deliveries SET attempts = attempts + 1, attempt_seq = ? WHERE seq = ?",
        [(attempt_seq, item.seq) for item in items],
    )
    return Claim(attempt_seq or 0, channel, items)


def settle(
    connection: sqlite3.Connection, done: Claim, outcome: Outcome, now: float, policy: RetryPolicy
) -> dict[str, list[Item]]:
    """Record what the channel answered; return the items by their new status.

    The statuses are ``delivered``, ``retry`` and ``dead``.
    """
    connection.execute("UPDATE attempts SET ended_at = ? WHERE seq = ?", (now, done.attempt_seq))
    by_status: dict[str, list[Item]] = {"delivered": [], "retry": [], "dead": []}
    match outcome:
        case Delivered(note):
            _mark(connection, done.items, "delivered", now, note)
            by_status["delivered"] = list(done.items)
        case GiveUp(error):
            _mark(connection, done.items, "dead", now, error)
            by_status["dead"] = list(done.items)
        case Blocked(error, seconds):
            # The channel refuses every message for a while: all of its deliveries wait.
            connection.execute(
                "INSERT OR REPLACE INTO blocks (channel, until, reason) VALUES (?, ?, ?)",
                (done.channel, now + seconds, error),
            )
            by_status["dead"], by_status["retry"] = _postpone(
                connection, done.items, Retry(error), now, now + seconds, policy
            )
        case Retry():
            # One moment for all, so that a digest is tried again as one.
            failures = max(item.failures for item in done.items) + 1
            by_status["dead"], by_status["retry"] = _postpone(
                connection, done.items, outcome, now, now + policy.delay(failures), policy
            )
    return by_status


def recover(connection: sqlite3.Connection, now: float) -> int:
    """End the tries that a killed process left open; return how many deliveries they carried."""
    interrupted = connection.execute(
        "UPDATE deliveries SET maybe_sent = 1, next_at = ?,"
        " error = 'the notifier ended before the answer came'"
        " WHERE status = 'pending' AND attempt_seq IN"
        " (SELECT seq FROM attempts WHERE ended_at IS NULL)",
        (now,),
    ).rowcount
    connection.execute("UPDATE attempts SET ended_at = ? WHERE ended_at IS NULL", (now,))
    return interrupted


def revive(
    connection: sqlite3.Connection,
    now: float,
    alert_id: str | None,
    channel: str | None,
    but: Collection[str] = (),
) -> int:
    """Make dead deliveries pending again, of one alert or of all; return how many.

    Their age starts anew, or the next failure would end them at once. Those of the channels ``but``
    stay dead.
    """
    return connection.execute(
        "UPDATE deliveries SET status = 'pending', next_at = :now, created_at = :now, failures = 0"
        " WHERE status = 'dead' AND (:channel IS NULL OR channel = :channel) AND (:id IS NULL"
        " OR alert_seq = (SELECT seq FROM alerts WHERE alert_id = :id))"
        " AND channel NOT IN (SELECT value FROM json_each(:but))",
        {"now": now, "channel": channel, "id": alert_id, "but": json.dumps([*but])},
    ).rowcount


def channel_states(connection: sqlite3.Connection, now: float) -> dict[str, dict[str, Any]]:
    """Return for each channel that ever had a delivery: its counts, last delivery and block.

    ``died_lately`` are those that were given up in the last day: what is older was seen, or will
    never be.
    """
    states: dict[str, dict[str, Any]] = {}
    for row in connection.execute(
        "SELECT deliveries.channel, count(*) FILTER (WHERE status = 'pending') AS pending,"
        " count(*) FILTER (WHERE status = 'pending' AND failures > 0) AS failing,"
        " count(*) FILTER (WHERE status = 'dead') AS dead,"
        " count(*) FILTER (WHERE status = 'dead' AND ended_at > ?) AS died_lately,"
        " max(delivered_at) AS delivered_at FROM deliveries"
        " LEFT JOIN attempts ON attempts.seq = attempt_seq GROUP BY deliveries.channel",
        (now - _LATELY_S,),
    ):
        states[row["channel"]] = {
            "pending": row["pending"],
            "failing": row["failing"],
            "dead": row["dead"],
            "died_lately": row["died_lately"],
            "last_delivered_at": _shown_time(row["delivered_at"]),
            "blocked_until": None,
        }
    for row in connection.execute("SELECT * FROM blocks WHERE until > ?", (now,)):
        if row["channel"] in states:
            states[row["channel"]]["blocked_until"] = _shown_time(row["until"])
    return states


def _shown_time(moment: float | None) -> str | None:
    return None if moment is None else to_rfc3339(moment)


def _free_slots(
    connection: sqlite3.Connection, channel: str, pace: Pace, now: float
) -> tuple[int, float]:
    """Return how many requests fit now and, if none, when the next one does."""
    if pace.per_minute is None:
        return _DIGEST_LIMIT, now
    recent = connection.execute(
        "SELECT coalesce(ended_at, started_at) AS at FROM attempts"
        " WHERE channel = ? AND coalesce(ended_at, started_at) > ? AND started_at <= ?"
        " ORDER BY at DESC LIMIT ?",
        (channel, now - _RATE_WINDOW_S, now, pace.per_minute),
    ).fetchall()
    free = pace.per_minute - len(recent)
    return free, (recent[-1]["at"] + _RATE_WINDOW_S if free == 0 else now)


def _postpone(
    connection: sqlite3.Connection,
    items: tuple[Item, ...],
    outcome: Retry,
    now: float,
    next_at: float,
    policy: RetryPolicy,
) -> tuple[list[Item], list[Item]]:
    """Try ``items`` again at ``next_at``, except those that are too old; return (dead, waiting)."""
    dead = [item for item in items if now - item.created_at >= policy.give_up_after_s]
    waiting = [item for item in items if now - item.created_at < policy.give_up_after_s]
    _mark(connection, dead, "dead", now, outcome.error)
    connection.executemany(
        "UPDATE deliveries SET next_at = ?, error = ?, failures = failures + 1,"
        " maybe_sent = max(maybe_sent, ?) WHERE seq = ?",
        [(next_at, outcome.error, int(outcome.maybe_sent), item.seq) for item in waiting],
    )
    return dead, waiting


def _mark(
    connection: sqlite3.Connection,
    items: tuple[Item, ...] | list[Item],
    status: str,
    now: float,
    error: str | None,
) -> None:
    connection.executemany(
        "UPDATE deliveries SET status = ?, delivered_at = ?, error = ? WHERE seq = ?",
        [(status, now if status == "delivered" else None, error, item.seq) for item in items],
    )


def _item(row: sqlite3.Row) -> Item:
    return Item(
        seq=row["seq"],
        alert=Alert.from_stored(json.loads(row["body"])),
        attempts=row["attempts"] + 1,
        failures=row["failures"],
        created_at=row["created_at"],
        received_at=row["received_at"],
        held_before=row["held_before"],
        maybe_sent=bool(row["maybe_sent"]),
        occasion=from_text(row["occasion"]),
        form=Form(row["form"]),
    )
