"""The end of a fault, and what happens until then while nobody takes it on.

A fault that has not come again for a while is called "quiet", not "resolved": the notifier knows
that no alert came, not that all is well. Only what it watches itself it can call resolved.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.occasions import Episode, Escalation, Form
from ddcolor_operations.notifier.outbox import RECORD, add_occasion, is_acknowledged
from ddcolor_operations.notifier.routing import EscalationPlan
from ddcolor_operations.notifier.silences import silence_of


@dataclass(slots=True)
class Told:
    """What an operation has set going: channels to wake, and each alert with its occasion."""

    channels: set[str] = field(default_factory=set)
    ended: list[tuple[Alert, Episode]] = field(default_factory=list)
    escalated: list[tuple[Alert, Escalation]] = field(default_factory=list)


def count_active(connection: sqlite3.Connection) -> int:
    """Return how many episodes are not over."""
    (count,) = connection.execute("SELECT count(*) FROM windows WHERE NOT quiet").fetchone()
    return int(count)


def end_quiet_episodes(
    connection: sqlite3.Connection,
    now: float,
    quiet_s: float,
    *,
    mute: Collection[str] = (),
    not_before: float | None = None,
) -> Told:
    """End the episodes whose last alert is ``quiet_s`` old; return who shall speak of it.

    A message says so to the channels that the alert itself went to, but not to those in ``mute``,
    if it was critical, or if alerts were held back, whose number nobody would learn otherwise. A
    single level 2 alert is over when it is read. Below level 3 the message waits for
    ``not_before``, the end of the quiet hours.

    The silence of a path is no such episode: no further alert comes while it lasts.
    """
    ended = connection.execute(
        "SELECT * FROM windows WHERE NOT quiet AND last_at <= ? AND NOT EXISTS"
        " (SELECT 1 FROM paths WHERE paths.alert_seq = windows.alert_seq)",
        (now - quiet_s,),
    ).fetchall()
    told = Told()
    for window in ended:
        _end(connection, window, now, told, mute=mute, not_before=not_before)
    return told


def resolve(
    connection: sqlite3.Connection, alert_seq: int, now: float, mute: Collection[str]
) -> Told:
    """End the episode whose window ``alert_seq`` holds, because it is known to be over.

    The next alert of the same fault speaks at once: it would be news.
    """
    told = Told()
    window = connection.execute(
        "SELECT * FROM windows WHERE alert_seq = ? AND NOT quiet", (alert_seq,)
    ).fetchone()
    if window is not None:
        _end(connection, window, now, told, mute=mute, resolved=True)
        connection.execute("UPDATE windows SET opened_at = 0 WHERE alert_seq = ?", (alert_seq,))
    return told


def escalate(
    connection: sqlite3.Connection,
    now: float,
    plan_of: Callable[[Alert], EscalationPlan | None],
    *,
    not_before: float | None = None,
) -> Told:
    """Call the next ones for each episode that nobody has acknowledged in its time.

    ``plan_of`` gives the steps of an alert, as they are configured now. While a silence covers the
    alert nobody is called, and below level 3 nobody before ``not_before``, the end of the quiet
    hours.
    """
    told = Told()
    due = connection.execute(
        "SELECT windows.*, alerts.body FROM windows JOIN alerts ON alerts.seq = windows.alert_seq"
        " WHERE escalate_at <= ? AND NOT quiet",
        (now,),
    ).fetchall()
    for window in due:
        alert = Alert.from_stored(json.loads(window["body"]))
        plan, done = plan_of(alert), window["escalated"]
        step = plan.step(done) if plan is not None else None
        if step is None or is_acknowledged(connection, window["alert_seq"]):
            next_at = None
        elif silence_of(connection, alert, now) is not None:
            next_at = now + step.after_s
        elif not_before is not None and alert.level < 3:
            next_at = not_before
        else:
            call = Escalation(done + 1, window["since"], window["total"])
            seq, level = window["alert_seq"], window["level"]
            add_occasion(connection, seq, level, call, Form.ESCALATION, step.channels, now)
            told.channels |= set(step.channels)
            told.escalated.append((alert, call))
            done += 1
            following = plan.step(done) if plan is not None else None
            next_at = now + following.after_s if following is not None else None
        connection.execute(
            "UPDATE windows SET escalated = ?, escalate_at = ? WHERE alert_seq = ?",
            (done, next_at, window["alert_seq"]),
        )
    return told


def _end(
    connection: sqlite3.Connection,
    window: sqlite3.Row,
    now: float,
    told: Told,
    *,
    mute: Collection[str],
    not_before: float | None = None,
    resolved: bool = False,
) -> None:
    seq = window["alert_seq"]
    connection.execute(
        "UPDATE windows SET quiet = 1, held_back = 0, escalate_at = NULL WHERE alert_seq = ?",
        (seq,),
    )
    episode = Episode(
        since=window["since"],
        last_at=now if resolved else window["last_at"],
        total=window["total"],
        resolved=resolved,
        by=_acknowledged_by(connection, seq),
    )
    (body,) = connection.execute("SELECT body FROM alerts WHERE seq = ?", (seq,)).fetchone()
    told.ended.append((Alert.from_stored(json.loads(body)), episode))
    if window["level"] < 3 and not window["held_back"]:
        return
    channels = _spoken(connection, window, mute)
    waits = not_before if window["level"] < 3 else None
    add_occasion(connection, seq, window["level"], episode, Form.OVER, channels, now, waits)
    told.channels |= set(channels)


def _acknowledged_by(connection: sqlite3.Connection, alert_seq: int) -> str:
    row = connection.execute(
        "SELECT by FROM acknowledgements WHERE alert_seq = ?", (alert_seq,)
    ).fetchone()
    return str(row["by"]) if row else ""


def _spoken(
    connection: sqlite3.Connection, window: sqlite3.Row, mute: Collection[str]
) -> Sequence[str]:
    """Return the channels that were told of the episode, by an escalation too, but not ``mute``."""
    rows = connection.execute(
        "SELECT channel FROM deliveries JOIN alerts ON alerts.seq = deliveries.alert_seq"
        " WHERE service = ? AND kind = ? AND alerts.level = ? AND received_at >= ?"
        " AND form != ? AND deliveries.status != 'dead'"
        " GROUP BY channel ORDER BY min(deliveries.seq)",
        (*(window[name] for name in ("service", "kind", "level", "since")), Form.OVER),
    ).fetchall()
    return [row["channel"] for row in rows if row["channel"] not in {RECORD, *mute}]
