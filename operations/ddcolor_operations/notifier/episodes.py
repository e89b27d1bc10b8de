"""Saying that a fault is over: when it has not come again for a while.

The words are "quiet", not "resolved": the notifier knows that no alert came, not that all is well.
"""

from __future__ import annotations

import json
import sqlite3

from ddcolor_operations.notifier.outbox import RECORD


def end_quiet_episodes(connection: sqlite3.Connection, now: float, quiet_s: float) -> set[str]:
    """End the episodes whose last alert is ``quiet_s`` old; return the channels that shall speak.

    A message says so to the channels that the alert itself went to, if it was critical, or if
    alerts were held back, whose number nobody would learn otherwise. A single level 2 alert is
    over when it is read.
    """
    ended = connection.execute(
        "SELECT * FROM windows WHERE NOT quiet AND last_at <= ?", (now - quiet_s,)
    ).fetchall()
    channels: set[str] = set()
    for window in ended:
        connection.execute(
            "UPDATE windows SET quiet = 1, held_back = 0 WHERE alert_seq = ?",
            (window["alert_seq"],),
        )
        if window["level"] < 3 and not window["held_back"]:
            continue
        facts = {name: window[name] for name in ("since", "last_at", "total")}
        spoken = connection.execute(
            "SELECT channel FROM deliveries"
            " WHERE alert_seq = ? AND episode = '' AND status != 'dead' AND channel != ?",
            (window["alert_seq"], RECORD),
        ).fetchall()
        connection.executemany(
            "INSERT INTO deliveries"
            " (alert_seq, channel, episode, level, status, created_at, next_at)"
            " VALUES (?, ?, ?, ?, 'pending', ?, ?)",
            [
                (window["alert_seq"], row["channel"], json.dumps(facts), window["level"], now, now)
                for row in spoken
            ],
        )
        channels |= {row["channel"] for row in spoken}
    return channels
