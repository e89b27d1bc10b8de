"""Silences: who is silenced, for how long, and that nothing is lost."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier import history, outbox
from ddcolor_operations.notifier.alert import AlertError
from ddcolor_operations.notifier.silences import (
    Silence,
    add_silence,
    end_silence,
    list_silences,
)
from tests.support.alerts import make_alert, open_outbox

NOW = 1_800_000_000.0


@pytest.fixture
def box(tmp_path: Path) -> sqlite3.Connection:
    return open_outbox(tmp_path)


def silence(**fields: Any) -> Silence:
    return Silence.from_json({"seconds": 600, **fields})


def channels(box: sqlite3.Connection, number: int, at: float, **changes: Any) -> list[str]:
    """Accept an alert; return where it goes."""
    alert = make_alert(number, **changes)
    outbox.accept(box, alert, ("wecom",), at, 300)
    (shown,) = history.find_alerts(box, alert.alert_id)
    return [delivery["channel"] for delivery in shown["deliveries"]]


def test_a_silenced_alert_is_recorded_and_names_the_silence(box: sqlite3.Connection) -> None:
    """It goes to nobody and is not lost."""
    number = add_silence(box, silence(service="ddcolor-*"), NOW)

    assert channels(box, 1, NOW + 1) == ["record"]
    (shown,) = history.find_alerts(box, make_alert(1).alert_id)
    assert (shown["status"], shown["silence"]) == ("accepted", number)
    assert list_silences(box, NOW + 1)[0]["alerts"] == 1


@pytest.mark.parametrize(
    ("fields", "silenced"),
    [
        ({"service": "*"}, True),
        ({"service": "ddcolor-service", "kind": "out_of_*", "rule": "keyword_*"}, True),
        ({"kind": "execution_error"}, False),
        ({"service": "ddcolor-service", "rule": "latency"}, False),
        ({"service": "DDCOLOR-SERVICE"}, False),
    ],
)
def test_every_pattern_must_match(
    box: sqlite3.Connection, fields: dict[str, str], silenced: bool
) -> None:
    """A silence covers no more than it says."""
    add_silence(box, silence(**fields), NOW)

    assert (channels(box, 1, NOW + 1) == ["record"]) is silenced


def test_the_first_alert_after_a_silence_speaks_at_once(box: sqlite3.Connection) -> None:
    """Silenced alerts open no window behind which it would be held back."""
    add_silence(box, silence(service="*"), NOW)
    channels(box, 1, NOW + 599)

    assert channels(box, 2, NOW + 600) == ["wecom"]


def test_a_silence_can_be_ended_before_its_time(box: sqlite3.Connection) -> None:
    """Once; a second end, or one of a silence that never was, says that there is none."""
    number = add_silence(box, silence(service="*"), NOW)

    assert end_silence(box, number, NOW + 10)
    assert channels(box, 1, NOW + 10) == ["wecom"]
    assert not end_silence(box, number, NOW + 11)
    assert not end_silence(box, 99, NOW)


def test_a_forgotten_silence_leaves_its_number_unused(box: sqlite3.Connection) -> None:
    """An old alert never points to a newer silence."""
    first = add_silence(box, silence(service="*"), NOW)
    outbox.prune(box, NOW + 10_000)

    assert add_silence(box, silence(service="*"), NOW + 20_000) > first


def test_a_reason_is_redacted(box: sqlite3.Connection) -> None:
    """A list is shown to many."""
    add_silence(box, silence(service="*", reason="moving 10.1.2.3"), NOW)

    assert "10.1.2.3" not in list_silences(box, NOW)[0]["reason"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([], "one JSON object"),
        ({"seconds": 60}, "service: give a pattern"),
        ({"service": "*"}, "seconds: send how long"),
        ({"service": "*", "seconds": True}, "seconds: send how long"),
        ({"service": "*", "seconds": 0}, "seconds: 0 is not within"),
        ({"service": "*", "seconds": 10**9}, "seconds: "),
        ({"service": 1, "seconds": 60}, "service: send a text"),
        ({"servcie": "*", "seconds": 60}, "servcie: unknown field"),
    ],
)
def test_a_wrong_silence_is_refused_with_the_reason(data: object, error: str) -> None:
    """A misspelt pattern must not silence everything."""
    with pytest.raises(AlertError, match=error):
        Silence.from_json(data)
