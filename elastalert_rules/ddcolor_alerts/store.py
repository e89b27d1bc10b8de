"""What the rules remember without Elasticsearch, in one SQLite file.

Everything that one batch of documents changes is one transaction: the windows that it filled, the
alerts that came of it, and the reader's position behind it. A process that is killed finds all of a
batch or nothing of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS seen (seq INTEGER PRIMARY KEY, uid TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS documents
    (seq INTEGER PRIMARY KEY, rule TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS documents_of_a_rule ON documents (rule, at);
CREATE TABLE IF NOT EXISTS states (rule TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS silences
    (rule TEXT, key TEXT, until REAL NOT NULL, PRIMARY KEY (rule, key));
CREATE TABLE IF NOT EXISTS alerts
    (seq INTEGER PRIMARY KEY, alert_id TEXT UNIQUE NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
     taken INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
"""
_VERSION = 1
# A record is sent a second time within seconds of the first; these are hours of a busy service.
_SEEN_KEPT = 100_000
# As long as the notifier itself knows an alert.
_ALERTS_KEPT_S = 30 * 24 * 3600.0


class StoreError(Exception):
    """The file cannot be used; the text says why and what to do."""


class Store:
    """The memory of all rules; ``path`` None keeps it in the process only.

    Times are seconds since the epoch. Nothing is on disk before :meth:`commit`.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Records of the rules' windows stand in it, and in the files that SQLite lays
                # beside it with the same mode: closed to others from the first moment.
                path.touch(0o600)
                if path.is_file():
                    path.chmod(0o600)
            self._db = sqlite3.connect(str(path or ":memory:"), timeout=1.0)
            # Two processes on one file would count everything twice: the second one is refused.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            # Survives the end of the process at any point; a power cut may cost the last batches,
            # which the reader then reads again from the position that is stored with them.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise StoreError(f"{path}: written by another version ({version}): move it away")
            self._db.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
        except (OSError, sqlite3.OperationalError) as error:
            raise StoreError(
                f"{path}: cannot be used ({error}): does another process watch with it, or is the"
                " folder not writable?"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path}: is damaged ({error}): move it away, then start") from error

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        self._db.commit()

    def close(self) -> None:
        """Close without a commit."""
        self._db.close()

    # --- Documents ------------------------------------------------------------------------------
    def is_new(self, uid: str) -> bool:
        """Return whether the record has not been seen before, and note that it has now."""
        added = self._db.execute("INSERT OR IGNORE INTO seen (uid) VALUES (?)", (uid,)).rowcount
        return bool(added)

    def keep(self, rule: str, at: float, documents: list[dict[str, Any]]) -> None:
        """Keep documents of the rule's current timeframe."""
        self._db.executemany(
            "INSERT INTO documents (rule, at, body) VALUES (?, ?, ?)",
            [(rule, at, json.dumps(document, ensure_ascii=False)) for document in documents],
        )

    def kept(self, rule: str, since: float) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield the documents of a rule that came after ``since``, in their order."""
        rows = self._db.execute(
            "SELECT at, body FROM documents WHERE rule = ? AND at > ? ORDER BY seq", (rule, since)
        )
        for at, body in rows.fetchall():
            yield at, json.loads(body)

    def forget_documents(self, rule: str, until: float) -> None:
        """Forget the documents of a rule that came up to ``until``."""
        self._db.execute("DELETE FROM documents WHERE rule = ? AND at <= ?", (rule, until))

    # --- Rules ----------------------------------------------------------------------------------
    def state(self, rule: str) -> dict[str, Any]:
        """Return what a rule type has dumped, or an empty mapping."""
        row = self._db.execute("SELECT body FROM states WHERE rule = ?", (rule,)).fetchone()
        found: dict[str, Any] = json.loads(row[0]) if row else {}
        return found

    def set_state(self, rule: str, state: dict[str, Any]) -> None:
        """Keep what a rule type has dumped."""
        body = json.dumps(state, ensure_ascii=False)
        self._db.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (rule, body))

    def forget_rule(self, rule: str) -> None:
        """Forget what belongs to a rule that is gone; the alerts it has raised stay."""
        for table in ("documents", "states", "silences"):
            self._db.execute(f"DELETE FROM {table} WHERE rule = ?", (rule,))  # noqa: S608

    def is_silenced(self, rule: str, key: str, at: float) -> bool:
        """Return whether ``realert`` of an earlier match still holds."""
        row = self._db.execute(
            "SELECT until FROM silences WHERE rule = ? AND key = ?", (rule, key)
        ).fetchone()
        return row is not None and at < row[0]

    def silence(self, rule: str, key: str, until: float) -> None:
        """Hold further matches of the key back."""
        self._db.execute("INSERT OR REPLACE INTO silences VALUES (?, ?, ?)", (rule, key, until))

    # --- Alerts ---------------------------------------------------------------------------------
    def add_alert(self, alert: dict[str, Any], at: float) -> bool:
        """Keep an alert until it is taken; return False for one that is known."""
        row = (alert["alert_id"], at, json.dumps(alert, ensure_ascii=False))
        added = self._db.execute(
            "INSERT OR IGNORE INTO alerts (alert_id, at, body) VALUES (?, ?, ?)", row
        ).rowcount
        return bool(added)

    def waiting_alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that nobody has taken, the oldest first."""
        rows = self._db.execute("SELECT body FROM alerts WHERE NOT taken ORDER BY seq")
        return [json.loads(body) for (body,) in rows]

    def alert_taken(self, alert_id: str) -> None:
        """Note that somebody keeps the alert now."""
        self._db.execute("UPDATE alerts SET taken = 1 WHERE alert_id = ?", (alert_id,))

    # --- The reader -----------------------------------------------------------------------------
    def position(self) -> Any:
        """Return what the reader gave with the last committed batch, or None."""
        row = self._db.execute("SELECT body FROM position").fetchone()
        return json.loads(row[0]) if row else None

    def set_position(self, position: Any) -> None:
        """Keep the reader's position together with what came of the documents before it."""
        self._db.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (json.dumps(position),))

    def forget_old(self, now: float) -> None:
        """Forget what can no longer matter."""
        self._db.execute(
            "DELETE FROM seen WHERE seq <= (SELECT max(seq) FROM seen) - ?", (_SEEN_KEPT,)
        )
        self._db.execute("DELETE FROM silences WHERE until < ?", (now,))
        self._db.execute("DELETE FROM alerts WHERE taken AND at < ?", (now - _ALERTS_KEPT_S,))
