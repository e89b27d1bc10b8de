"""The dead man's switch: which path is alive, which is silent, and who is not accused."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier import outbox, paths
from ddcolor_operations.notifier.alert import AlertError
from ddcolor_operations.notifier.episodes import end_quiet_episodes, resolve
from ddcolor_operations.notifier.occasions import Episode
from ddcolor_operations.notifier.paths import Beat, Silent
from ddcolor_operations.notifier.silences import Silence, add_silence
from tests.support.alerts import NOON, make_alert, make_reader, open_outbox

NOW = NOON.timestamp()
SILENT_S = 120.0


@pytest.fixture
def box(tmp_path: Path) -> sqlite3.Connection:
    return open_outbox(tmp_path)


def beat(box: sqlite3.Connection, at: float, path: str = "elasticsearch", late_s: float = 0) -> Any:
    """Take a heartbeat at ``at`` whose record is ``late_s`` old."""
    occurred_at = NOON + timedelta(seconds=at - NOW - late_s)
    return paths.beat(box, Beat(path, "ddcolor-service", occurred_at), at, SILENT_S)


def silent(box: sqlite3.Connection, at: float, since: float = NOW - 3600) -> list[str]:
    """Return the paths that are to be accused at ``at``."""
    return [found.path for found in paths.silent_paths(box, at, since, SILENT_S)]


def tell(box: sqlite3.Connection, at: float) -> int:
    """Let the notifier speak of the silent path; return the row of its alert."""
    (found,) = paths.silent_paths(box, at, 0, SILENT_S)
    alert = paths.alert_of(found, at, "silent")
    outbox.accept(box, alert, ("wecom", "heal"), at, 300)
    paths.mark_told(box, found.path, alert.alert_id)
    (row,) = box.execute("SELECT seq FROM alerts WHERE alert_id = ?", (alert.alert_id,))
    return int(row["seq"])


def test_a_path_that_never_beat_is_not_missed(box: sqlite3.Connection) -> None:
    """A deployment without Elasticsearch is not told that Elasticsearch is silent."""
    assert silent(box, NOW) == []


@pytest.mark.parametrize(("after", "found"), [(119.9, []), (120, ["elasticsearch"])])
def test_a_path_is_silent_after_two_minutes(
    box: sqlite3.Connection, after: float, found: list[str]
) -> None:
    """Not a moment before."""
    assert beat(box, NOW) == ("alive", None)

    assert silent(box, NOW + after) == found


def test_each_path_is_watched_by_itself(box: sqlite3.Connection) -> None:
    """The watcher's heartbeat says nothing of Elasticsearch."""
    beat(box, NOW)
    beat(box, NOW + 100, "watcher")

    assert silent(box, NOW + 130) == ["elasticsearch"]


def test_a_notifier_that_was_down_accuses_nobody_before_a_whole_window(
    box: sqlite3.Connection,
) -> None:
    """What came while it did not listen, it cannot have heard."""
    beat(box, NOW)
    started = NOW + 5000

    assert silent(box, started + 119, since=started) == []
    assert silent(box, started + 120, since=started) == ["elasticsearch"]


def test_a_silence_is_told_once_and_its_alert_keeps_its_id(box: sqlite3.Connection) -> None:
    """Also a notifier that starts anew finds on disk that it has spoken."""
    beat(box, NOW)
    tell(box, NOW + 120)

    assert silent(box, NOW + 500) == []
    one, two = (
        paths.alert_of(Silent("elasticsearch", "s", NOW, 0), at, "x") for at in (NOW, NOW + 9)
    )
    assert one.alert_id == two.alert_id
    assert (one.kind, one.level) == ("alerting_down", 3)


def test_the_next_heartbeat_resolves_it_where_people_heard_of_it(box: sqlite3.Connection) -> None:
    """The end is known, not guessed; the healer, which is muted, is not told."""
    beat(box, NOW)
    seq = tell(box, NOW + 120)

    assert beat(box, NOW + 300) == ("alive", seq)
    told = resolve(box, seq, NOW + 300, {"heal"})

    ((_, episode),) = told.ended
    assert told.channels == {"wecom"}
    assert episode == Episode(NOW + 120, NOW + 300, 1, resolved=True)
    assert silent(box, NOW + 301) == []


def test_a_path_that_flaps_speaks_each_time(box: sqlite3.Connection) -> None:
    """The window of the first silence does not swallow the second, after "resolved" was said."""
    beat(box, NOW)
    first = tell(box, NOW + 120)
    beat(box, NOW + 130)
    resolve(box, first, NOW + 130, ())

    tell(box, NOW + 250)

    statuses = [row["status"] for row in box.execute("SELECT status FROM alerts ORDER BY seq")]
    assert statuses == ["accepted", "accepted"]


def test_a_silence_does_not_go_quiet_by_itself(box: sqlite3.Connection) -> None:
    """No further alert comes while it lasts, and yet it is not over."""
    beat(box, NOW)
    tell(box, NOW + 120)

    assert end_quiet_episodes(box, NOW + 10_000, 600).channels == set()


def test_heartbeats_that_come_too_late_do_not_keep_a_path_alive(box: sqlite3.Connection) -> None:
    """A chain that is minutes behind brings alerts minutes late: that is to be known."""
    beat(box, NOW)

    assert beat(box, NOW + 130, late_s=125) == ("late", None)
    (found,) = paths.silent_paths(box, NOW + 130, 0, SILENT_S)
    assert found.late_s == pytest.approx(125)
    assert "迟到" in make_reader().silent_path(found, NOW + 130)


def test_what_is_late_is_as_it_is_set(box: sqlite3.Connection) -> None:
    """A heartbeat of a minute counts in two, and does not in a half."""
    for silent_s, late in ((120.0, False), (30.0, True)):
        occurred_at = NOON - timedelta(seconds=60)
        paths.beat(box, Beat("elasticsearch", "s", NOON), NOW - 1, silent_s)
        paths.beat(box, Beat("elasticsearch", "s", occurred_at), NOW, silent_s)
        (found,) = paths.silent_paths(box, NOW + silent_s, 0, silent_s)

        assert ("迟到" in make_reader().silent_path(found, NOW + silent_s)) is late


def test_a_late_heartbeat_does_not_resolve(box: sqlite3.Connection) -> None:
    """The backlog that is flushed first is not yet the end."""
    beat(box, NOW)
    seq = tell(box, NOW + 120)

    assert beat(box, NOW + 300, late_s=200) == ("late", None)
    assert beat(box, NOW + 301) == ("alive", seq)


def test_a_service_that_is_down_explains_its_missing_heartbeats(box: sqlite3.Connection) -> None:
    """The chain that said so works; once that episode is over, it is watched again."""
    beat(box, NOW)
    down = make_alert(1, kind="service_down", level=3, service="ddcolor-service")
    outbox.accept(box, down, ("wecom",), NOW + 60, 300)

    assert silent(box, NOW + 200) == []
    end_quiet_episodes(box, NOW + 700, 600)
    assert silent(box, NOW + 700) == ["elasticsearch"]


def test_planned_work_accuses_nobody_until_it_is_over(box: sqlite3.Connection) -> None:
    """The silence of a person goes before the silence of a path."""
    beat(box, NOW)
    add_silence(box, Silence("*", "alerting_down", "*", 300, "upgrade"), NOW)

    assert silent(box, NOW + 200) == []
    assert silent(box, NOW + 300) == ["elasticsearch"]


def test_a_path_that_is_forgotten_is_missed_no_more(box: sqlite3.Connection) -> None:
    """Who takes the watcher away on purpose says so, and the open alert ends with it."""
    beat(box, NOW)
    seq = tell(box, NOW + 120)

    assert paths.forget(box, "elasticsearch") == (True, seq)
    assert paths.forget(box, "elasticsearch") == (False, None)
    assert silent(box, NOW + 1000) == []


def test_paths_are_shown_with_their_last_heartbeat(box: sqlite3.Connection) -> None:
    """Whose it was, when it came, and how old it was then."""
    beat(box, NOW, late_s=1.5)
    shown = paths.list_paths(box, NOW + 10, SILENT_S)["elasticsearch"]

    assert shown == {
        "service": "ddcolor-service",
        "last_beat_at": "2026-03-01T12:00:00.000000Z",
        "late_s": 1.5,
        "silent": False,
    }
    assert paths.list_paths(box, NOW + 200, SILENT_S)["elasticsearch"]["silent"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([], "one JSON object"),
        ({}, "path: "),
        ({"path": "Elastic search", "service": "s", "occurred_at": "x"}, "path: "),
        ({"path": "watcher", "occurred_at": NOON.isoformat()}, "service: "),
        ({"path": "watcher", "service": "s", "occurred_at": "yesterday"}, "occurred_at: "),
    ],
)
def test_a_wrong_heartbeat_is_refused_with_the_field(body: object, error: str) -> None:
    """The error says what to send."""
    with pytest.raises(AlertError, match=error):
        Beat.from_json(body)
