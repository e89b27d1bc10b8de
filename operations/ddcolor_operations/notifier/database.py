"""The outbox's file: schema, one writing thread, several requests to a commit."""

from __future__ import annotations

import fcntl
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_VERSION = 3
_BATCH = 256

_SCHEMA = """
-- Times are seconds since the epoch.
CREATE TABLE alerts (
    seq         INTEGER PRIMARY KEY,
    alert_id    TEXT NOT NULL UNIQUE,
    service     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    level       INTEGER NOT NULL,
    body        TEXT NOT NULL,               -- the alert as JSON
    received_at REAL NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('accepted', 'held_back')),
    silence     INTEGER,                     -- the silence that covered it
    held_before INTEGER NOT NULL DEFAULT 0,  -- held back since the message before this one
    held_back   INTEGER NOT NULL DEFAULT 0   -- held back behind this one
) STRICT;
CREATE INDEX alerts_received ON alerts (received_at);

-- The alert of each key that spoke last, and the episode that it belongs to: from the first alert
-- after a quiet time to the next quiet time. Its window is open for a while after opened_at.
CREATE TABLE windows (
    service   TEXT NOT NULL,
    kind      TEXT NOT NULL,
    level     INTEGER NOT NULL,
    alert_seq INTEGER NOT NULL REFERENCES alerts (seq) ON DELETE CASCADE,
    opened_at REAL NOT NULL,
    held_back INTEGER NOT NULL DEFAULT 0,
    since     REAL NOT NULL,
    last_at   REAL NOT NULL,
    total     INTEGER NOT NULL,
    quiet     INTEGER NOT NULL DEFAULT 0,  -- the episode is over
    escalated   INTEGER NOT NULL DEFAULT 0,  -- calls because nobody acknowledged
    escalate_at REAL,                        -- when the next such call is due
    PRIMARY KEY (service, kind, level)
) STRICT;

CREATE TABLE deliveries (
    seq          INTEGER PRIMARY KEY,
    alert_seq    INTEGER NOT NULL REFERENCES alerts (seq) ON DELETE CASCADE,
    channel      TEXT NOT NULL,
    occasion     TEXT NOT NULL DEFAULT '',    -- JSON, see occasions.py; '': the alert itself
    form         INTEGER NOT NULL DEFAULT 0,  -- what may share one message, see occasions.Form
    level        INTEGER NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    failures     INTEGER NOT NULL DEFAULT 0,  -- in a row, for the back-off
    created_at   REAL NOT NULL,
    next_at      REAL NOT NULL,
    attempt_seq  INTEGER,                     -- the last try
    maybe_sent   INTEGER NOT NULL DEFAULT 0,  -- a try ended without an answer
    delivered_at REAL,
    error        TEXT,
    UNIQUE (alert_seq, channel, occasion)
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (channel, next_at) WHERE status = 'pending';

-- One row per request to a channel; one request carries one delivery, or many in a digest.
CREATE TABLE attempts (
    seq        INTEGER PRIMARY KEY,
    channel    TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at   REAL
) STRICT;
CREATE INDEX attempts_recent ON attempts (channel, started_at);

CREATE TABLE silences (
    -- Never used twice: old alerts name the silence that covered them.
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL,
    kind    TEXT NOT NULL,
    rule    TEXT NOT NULL,
    reason  TEXT NOT NULL,
    since   REAL NOT NULL,
    until   REAL NOT NULL
) STRICT;

CREATE TABLE blocks (
    channel TEXT PRIMARY KEY,
    until   REAL NOT NULL,
    reason  TEXT NOT NULL
) STRICT;
"""

_SINCE_VERSION_3 = """
-- An alert that has a row here is acknowledged, and with it the episode whose window it holds.
CREATE TABLE acknowledgements (
    alert_seq INTEGER PRIMARY KEY REFERENCES alerts (seq) ON DELETE CASCADE,
    at        REAL NOT NULL,
    by        TEXT NOT NULL,
    note      TEXT NOT NULL,
    waited_s  REAL NOT NULL               -- since the episode's first alert
) STRICT;

-- The ways by which alerts come, each proved by its heartbeats.
CREATE TABLE paths (
    path      TEXT PRIMARY KEY,
    service   TEXT NOT NULL,              -- whose heartbeat came last
    beat_at   REAL,                       -- the last beat in time; NULL: all were late
    late_s    REAL NOT NULL,              -- from the last beat's record to its arrival
    alert_seq INTEGER REFERENCES alerts (seq) ON DELETE SET NULL  -- says that it is silent
) STRICT;
"""

#: From the version named to the next. What an older notifier accepted must still be delivered.
_UPGRADES = {
    2: """
ALTER TABLE windows ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE windows ADD COLUMN escalate_at REAL;
ALTER TABLE deliveries RENAME COLUMN episode TO occasion;
ALTER TABLE deliveries ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
UPDATE deliveries SET form = 3 WHERE occasion != '';
"""
    + _SINCE_VERSION_3
}


class DatabaseError(Exception):
    """The outbox cannot be opened; the text says why and what to do."""


def open_database(data_dir: Path) -> sqlite3.Connection:
    """Open or make ``data_dir/outbox.sqlite3``; raises :class:`DatabaseError`."""
    path = data_dir / "outbox.sqlite3"
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit has reached the disk when it returns, also through a loss of power.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        while version in _UPGRADES:
            version += 1
            connection.executescript(
                f"BEGIN; {_UPGRADES[version - 1]} PRAGMA user_version = {version}; COMMIT;"
            )
        if version == 0:
            connection.executescript(
                f"BEGIN; {_SCHEMA} {_SINCE_VERSION_3} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        elif version != _VERSION:
            connection.close()
            raise DatabaseError(
                f"{path} has version {version}, this notifier knows {_VERSION}: run the version"
                " that wrote it, or move the file away"
            )
    except sqlite3.Error as error:
        raise DatabaseError(f"{path}: {error}: check the disk, or move the file away") from None
    path.chmod(0o600)
    return connection


class Database:
    """Runs operations on the outbox in one thread; every result is on disk when it is given.

    Operations that arrive while a commit is under way share the next one, so hundreds of alerts
    a second cost a few dozen disk flushes. An operation that raises undoes only itself.
    """

    def __init__(self, data_dir: Path) -> None:
        """Open the outbox in ``data_dir`` and take it for this process alone."""
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (data_dir / "notifier.lock").open("w")
        try:
            # Two notifiers on one outbox would both deliver the same rows.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise DatabaseError(
                f"{data_dir} is in use by another notifier: stop it, or choose another data_dir"
            ) from None
        try:
            self._connection = open_database(data_dir)
        except DatabaseError:
            self._lock.close()
            raise
        self._requests: queue.SimpleQueue[tuple[Callable[..., Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="notifier-outbox", daemon=True)
        self._thread.start()

    def submit(self, operation: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queue ``operation``; its future is set after the commit, or with what it raised."""
        future: Future[T] = Future()
        self._requests.put((operation, future))
        return future

    def close(self) -> None:
        """Finish what is queued, then close the file and give up the lock."""
        self._requests.put(None)
        self._thread.join()
        self._connection.close()
        self._lock.close()

    def _run(self) -> None:
        ending = False
        while not ending:
            batch = []
            request = self._requests.get()
            while request is not None:
                batch.append(request)
                if len(batch) == _BATCH or self._requests.empty():
                    break
                request = self._requests.get()
            ending = request is None
            self._commit(batch)

    def _commit(self, batch: list[tuple[Callable[..., Any], Future[Any]]]) -> None:
        batch = [entry for entry in batch if entry[1].set_running_or_notify_cancel()]
        settled: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for operation, future in batch:
                settled.append((future, *self._one(operation)))
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - a thread that dies would leave every caller waiting
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for _, future in batch:
                future.set_exception(error)
            return
        for future, result, failure in settled:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)

    def _one(self, operation: Callable[..., Any]) -> tuple[Any, Exception | None]:
        self._connection.execute("SAVEPOINT operation")
        try:
            result, failure = operation(self._connection), None
        except Exception as error:
            if not self._connection.in_transaction:
                # A full disk: SQLite has undone the whole batch by itself.
                raise
            result, failure = None, error
            self._connection.execute("ROLLBACK TO operation")
        self._connection.execute("RELEASE operation")
        return result, failure
