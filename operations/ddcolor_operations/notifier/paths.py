"""The dead man's switch: each path by which alerts come is proved alive by its heartbeats.

A heartbeat is a log record of a service that went the whole way of an alert. When a path that has
beaten once is silent for a while, the notifier speaks by itself.

Each function is one operation for :class:`.database.Database`.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.alert import Alert, AlertError, name_field, time_field, to_rfc3339
from ddcolor_operations.notifier.silences import silence_of

KIND = "alerting_down"
RULE = "dead_mans_switch"
_PATH = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SERVICE_DOWN = "service_down"

State = Literal["alive", "late"]


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat: by which path it came, and whose record of when it was."""

    path: str
    service: str
    occurred_at: datetime

    @classmethod
    def from_json(cls, data: object) -> Beat:
        """Validate a decoded JSON body; raises AlertError. Unknown fields are ignored."""
        if not isinstance(data, dict):
            raise AlertError('the body must be one JSON object: send {"path": ..., ...}')
        path = data.get("path")
        if not isinstance(path, str) or _PATH.fullmatch(path) is None:
            raise AlertError(
                f"path: {str(path)[:40]!r} is no name of a path: send elasticsearch or watcher"
            )
        return cls(path, name_field(data, "service"), time_field(data, "occurred_at"))


@dataclass(frozen=True, slots=True)
class Silent:
    """A path that has been silent since ``beat_at``.

    ``late_s`` is how old its last beat was when it came, if that was too old to count, else 0.
    """

    path: str
    service: str
    beat_at: float
    late_s: float


def beat(
    connection: sqlite3.Connection, given: Beat, now: float, silent_s: float
) -> tuple[State, int | None]:
    """Write a heartbeat down; return whether it is in time, and the alert that it puts an end to.

    One that is older than ``silent_s`` proves only that alerts come too late: the path stays, or
    becomes, silent.
    """
    late_s = max(now - given.occurred_at.timestamp(), 0.0)
    row = connection.execute("SELECT * FROM paths WHERE path = ?", (given.path,)).fetchone()
    in_time = late_s < silent_s
    beat_at = now if in_time else (row["beat_at"] if row else None)
    spoken = row["alert_seq"] if row else None
    connection.execute(
        "INSERT OR REPLACE INTO paths (path, service, beat_at, late_s, alert_seq)"
        " VALUES (?, ?, ?, ?, ?)",
        (given.path, given.service, beat_at, late_s, None if in_time else spoken),
    )
    return ("alive", spoken) if in_time else ("late", None)


def silent_paths(
    connection: sqlite3.Connection, now: float, watched_since: float, silent_s: float
) -> list[Silent]:
    """Return the paths that are silent and of which nobody has been told.

    A path is not accused before this process has itself listened for ``silent_s``, nor while an
    alert says that the service is down whose heartbeats it carries: then they are missing at
    their source. While a silence covers its alert, the path waits for the end of that.
    """
    if now - watched_since < silent_s:
        return []
    rows = connection.execute(
        "SELECT * FROM paths WHERE beat_at <= ? AND alert_seq IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM windows WHERE kind = ? AND windows.service = paths.service AND NOT quiet)"
        " ORDER BY path",
        (now - silent_s, _SERVICE_DOWN),
    ).fetchall()
    found = [
        Silent(
            row["path"],
            row["service"],
            row["beat_at"],
            row["late_s"] if row["late_s"] >= silent_s else 0.0,
        )
        for row in rows
    ]
    return [path for path in found if silence_of(connection, alert_of(path, now, ""), now) is None]


def alert_of(silent: Silent, now: float, summary: str) -> Alert:
    """Return the alert that says that a path is silent; the same one for the same silence."""
    identity = f"{RULE}|{silent.path}|{silent.beat_at!r}"
    return Alert(
        alert_id=hashlib.sha256(identity.encode()).hexdigest()[:32],
        rule=RULE,
        kind=KIND,
        level=int(CATALOGUE[KIND].level),
        # One episode for each path: the service of an alert is part of what keeps faults apart.
        service=f"ddcolor-alerting/{silent.path}",
        occurred_at=datetime.fromtimestamp(now, UTC),
        node=None,
        node_id=None,
        prompt_id=None,
        trace_id=None,
        summary=summary,
        count=1,
        values={},
    )


def mark_told(connection: sqlite3.Connection, path: str, alert_id: str) -> None:
    """Remember which stored alert speaks of a silent path."""
    connection.execute(
        "UPDATE paths SET alert_seq = (SELECT seq FROM alerts WHERE alert_id = ?) WHERE path = ?",
        (alert_id, path),
    )


def forget(connection: sqlite3.Connection, path: str) -> tuple[bool, int | None]:
    """Watch a path no more; return whether it was known, and the alert that this puts an end to."""
    row = connection.execute("SELECT alert_seq FROM paths WHERE path = ?", (path,)).fetchone()
    if row is None:
        return False, None
    connection.execute("DELETE FROM paths WHERE path = ?", (path,))
    return True, row["alert_seq"]


def list_paths(connection: sqlite3.Connection, now: float, silent_s: float) -> dict[str, Any]:
    """Return each path's last heartbeat and whether the path is silent."""
    return {
        row["path"]: {
            "service": row["service"],
            "last_beat_at": None if row["beat_at"] is None else to_rfc3339(row["beat_at"]),
            "late_s": round(row["late_s"], 3),
            "silent": row["beat_at"] is None or now - row["beat_at"] >= silent_s,
        }
        for row in connection.execute("SELECT * FROM paths ORDER BY path")
    }
