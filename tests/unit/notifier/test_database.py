"""The outbox's file and its one writing thread."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddcolor_operations.notifier import deliveries
from ddcolor_operations.notifier.database import Database, DatabaseError, open_database
from ddcolor_operations.notifier.deliveries import Claim, Pace
from ddcolor_operations.notifier.occasions import Episode, Form
from tests.support.alerts import make_alert, open_outbox

# The schema that the first released notifier wrote.
VERSION_2 = """
CREATE TABLE alerts (seq INTEGER PRIMARY KEY, alert_id TEXT NOT NULL UNIQUE, service TEXT NOT NULL,
  kind TEXT NOT NULL, level INTEGER NOT NULL, body TEXT NOT NULL, received_at REAL NOT NULL,
  status TEXT NOT NULL, silence INTEGER, held_before INTEGER NOT NULL DEFAULT 0,
  held_back INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE windows (service TEXT NOT NULL, kind TEXT NOT NULL, level INTEGER NOT NULL,
  alert_seq INTEGER NOT NULL REFERENCES alerts (seq) ON DELETE CASCADE, opened_at REAL NOT NULL,
  held_back INTEGER NOT NULL DEFAULT 0, since REAL NOT NULL, last_at REAL NOT NULL,
  total INTEGER NOT NULL, quiet INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (service, kind, level)) STRICT;
CREATE TABLE deliveries (seq INTEGER PRIMARY KEY,
  alert_seq INTEGER NOT NULL REFERENCES alerts (seq) ON DELETE CASCADE, channel TEXT NOT NULL,
  episode TEXT NOT NULL DEFAULT '', level INTEGER NOT NULL, status TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
  created_at REAL NOT NULL, next_at REAL NOT NULL, attempt_seq INTEGER,
  maybe_sent INTEGER NOT NULL DEFAULT 0, delivered_at REAL, error TEXT,
  UNIQUE (alert_seq, channel, episode)) STRICT;
CREATE INDEX deliveries_pending ON deliveries (channel, next_at) WHERE status = 'pending';
CREATE TABLE attempts (seq INTEGER PRIMARY KEY, channel TEXT NOT NULL, started_at REAL NOT NULL,
  ended_at REAL) STRICT;
CREATE TABLE silences (seq INTEGER PRIMARY KEY AUTOINCREMENT, service TEXT NOT NULL,
  kind TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL, since REAL NOT NULL,
  until REAL NOT NULL) STRICT;
CREATE TABLE blocks (channel TEXT PRIMARY KEY, until REAL NOT NULL, reason TEXT NOT NULL) STRICT;
PRAGMA user_version = 2;
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "data")
    yield database
    database.close()


def add_block(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("INSERT INTO blocks VALUES (?, 0, 'x')", (name,))


def names(connection: sqlite3.Connection) -> set[str]:
    return {row["channel"] for row in connection.execute("SELECT channel FROM blocks")}


def test_a_result_is_given_only_after_the_commit(database: Database, tmp_path: Path) -> None:
    """Another connection sees the row as soon as the future is done."""
    database.submit(lambda c: add_block(c, "a")).result(10)

    other = sqlite3.connect(tmp_path / "data" / "outbox.sqlite3")
    try:
        assert other.execute("SELECT channel FROM blocks").fetchall() == [("a",)]
    finally:
        other.close()


def test_the_file_survives_a_loss_of_power(database: Database) -> None:
    """WAL with synchronous=FULL (2) is what makes an answer a promise."""
    modes = database.submit(
        lambda c: (
            c.execute("PRAGMA journal_mode").fetchone()[0],
            c.execute("PRAGMA synchronous").fetchone()[0],
        )
    ).result(10)

    assert modes == ("wal", 2)


def test_an_operation_that_raises_undoes_only_itself(database: Database) -> None:
    """Its neighbours in the same commit are kept, and it gets its own error."""
    started, go_on = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        started.set()
        go_on.wait(10)

    def fail(connection: sqlite3.Connection) -> None:
        add_block(connection, "bad")
        raise KeyError("bad")

    database.submit(hold)
    started.wait(10)
    # These three queue up behind the first and share one commit.
    futures = [
        database.submit(lambda c: add_block(c, "a")),
        database.submit(fail),
        database.submit(lambda c: add_block(c, "b")),
    ]
    go_on.set()

    futures[2].result(10)
    with pytest.raises(KeyError):
        futures[1].result(10)
    assert database.submit(names).result(10) == {"a", "b"}


def test_many_requests_share_few_commits(database: Database) -> None:
    """Requests that wait while one is under way are committed together."""
    started, go_on, commits = threading.Event(), threading.Event(), []

    def hold(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        started.set()
        go_on.wait(10)

    database.submit(hold)
    started.wait(10)
    futures = [database.submit(lambda c, n=n: add_block(c, str(n))) for n in range(200)]  # type: ignore[misc]
    go_on.set()
    for future in futures:
        future.result(10)

    assert len(commits) == 2


def test_a_cancelled_request_is_not_run(database: Database) -> None:
    """Nobody waits for it, and its neighbours are not disturbed."""
    started, go_on = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        started.set()
        go_on.wait(10)

    database.submit(hold)
    started.wait(10)
    cancelled = database.submit(lambda c: add_block(c, "cancelled"))
    kept = database.submit(lambda c: add_block(c, "kept"))
    assert cancelled.cancel()
    go_on.set()

    kept.result(10)
    assert database.submit(names).result(10) == {"kept"}


def test_two_notifiers_cannot_share_an_outbox(database: Database, tmp_path: Path) -> None:
    """The second is refused with the folder's name, and the first goes on."""
    with pytest.raises(DatabaseError, match="in use by another notifier"):
        Database(tmp_path / "data")

    assert database.submit(names).result(10) == set()


def test_a_closed_outbox_can_be_opened_again(tmp_path: Path) -> None:
    """What was queued before the end is there."""
    first = Database(tmp_path)
    first.submit(lambda c: add_block(c, "a"))
    first.close()

    second = Database(tmp_path)
    assert second.submit(names).result(10) == {"a"}
    second.close()


def test_a_newer_file_is_not_touched(tmp_path: Path) -> None:
    """A version that is not known is refused with both numbers."""
    connection = open_database(tmp_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(DatabaseError, match="version 99, this notifier knows 3"):
        Database(tmp_path)


def test_an_older_file_is_brought_up_to_date_with_all_that_waits_in_it(tmp_path: Path) -> None:
    """What version 2 accepted is delivered, and what it had to say of an end too."""
    old = sqlite3.connect(tmp_path / "outbox.sqlite3")
    old.executescript(VERSION_2)
    body = json.dumps(make_alert(1).to_json() | {"owner": None})
    old.execute(
        "INSERT INTO alerts VALUES (1, ?, 's', 'k', 3, ?, 5, 'accepted', NULL, 0, 0)",
        (make_alert(1).alert_id, body),
    )
    for channel, episode in (("wecom", ""), ("mail", '{"since": 1, "last_at": 5, "total": 7}')):
        old.execute(
            "INSERT INTO deliveries (alert_seq, channel, episode, level, status, created_at,"
            " next_at) VALUES (1, ?, ?, 3, 'pending', 5, 5)",
            (channel, episode),
        )
    old.commit()
    old.close()

    new = open_outbox(tmp_path)

    alert, over = (deliveries.claim(new, name, Pace(None), 10) for name in ("wecom", "mail"))
    assert isinstance(alert, Claim)
    assert isinstance(over, Claim)
    assert alert.items[0].alert == make_alert(1)
    assert (over.items[0].occasion, over.items[0].form) == (Episode(1, 5, 7), Form.OVER)
    assert new.execute("SELECT count(*) FROM acknowledgements").fetchone()[0] == 0


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """The path and the way out stand in the error."""
    (tmp_path / "outbox.sqlite3").write_text("not a database, but long enough to be looked at" * 99)

    with pytest.raises(DatabaseError, match=r"outbox\.sqlite3: file is not a database"):
        Database(tmp_path)


def test_others_cannot_read_the_outbox(database: Database, tmp_path: Path) -> None:
    """It holds what went wrong for whom."""
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "outbox.sqlite3").stat().st_mode & 0o777 == 0o600
