"""Taking alerts: idempotence, the window of a fault, deliveries, retention."""

import sqlite3
from pathlib import Path

import pytest

from ddcolor_operations.notifier import deliveries, history, outbox
from ddcolor_operations.notifier.channels.base import Delivered
from ddcolor_operations.notifier.deliveries import Claim, Pace, RetryPolicy
from ddcolor_operations.notifier.episodes import end_quiet_episodes
from tests.support.alerts import make_alert, open_outbox

NOW = 1_800_000_000.0
WINDOW_S = 300.0
CHANNELS = ("wecom", "dingtalk")


@pytest.fixture
def box(tmp_path: Path) -> sqlite3.Connection:
    return open_outbox(tmp_path)


def accept(
    box: sqlite3.Connection,
    number: int,
    at: float,
    channels: tuple[str, ...] = CHANNELS,
    **c: object,
) -> str:
    return outbox.accept(box, make_alert(number, **c), channels, at, WINDOW_S)


def test_an_alert_gets_one_pending_delivery_per_channel(box: sqlite3.Connection) -> None:
    """Each channel has a row of its own."""
    assert accept(box, 1, NOW) == "accepted"

    ((shown,), more) = history.list_alerts(box, 0, 10)
    assert [(d["channel"], d["status"]) for d in shown["deliveries"]] == [
        ("wecom", "pending"),
        ("dingtalk", "pending"),
    ]
    assert not more


def test_a_recorded_alert_is_delivered_at_once(box: sqlite3.Connection) -> None:
    """The channel "record" needs no worker."""
    accept(box, 1, NOW, ("record",), level=1)

    ((shown,), _) = history.list_alerts(box, 0, 10)
    assert [(d["channel"], d["status"]) for d in shown["deliveries"]] == [("record", "delivered")]


def test_the_same_id_is_a_duplicate_whatever_its_content(box: sqlite3.Connection) -> None:
    """A re-send makes no second row, also long after its window."""
    accept(box, 1, NOW)

    assert accept(box, 1, NOW + 10_000, summary="other") == "duplicate"
    assert len(history.list_alerts(box, 0, 10)[0]) == 1


def test_a_held_back_alert_that_is_sent_again_is_a_duplicate(box: sqlite3.Connection) -> None:
    """A re-send does not count as one more held back."""
    accept(box, 1, NOW)
    accept(box, 2, NOW + 1)

    assert accept(box, 2, NOW + 2) == "duplicate"
    assert history.list_alerts(box, 0, 10)[0][0]["held_back"] == 1


@pytest.mark.parametrize(
    ("after", "status"), [(0, "held_back"), (299.9, "held_back"), (300, "accepted")]
)
def test_the_same_fault_speaks_once_in_a_window(
    box: sqlite3.Connection, after: float, status: str
) -> None:
    """The window is closed at its end, not a moment before."""
    accept(box, 1, NOW)

    assert accept(box, 2, NOW + after) == status


def test_held_back_alerts_do_not_lengthen_the_window(box: sqlite3.Connection) -> None:
    """A fault that never stops speaks every five minutes, not never again."""
    statuses = [accept(box, n, NOW + n * 100) for n in range(7)]

    assert statuses == ["accepted", "held_back", "held_back"] * 2 + ["accepted"]


def test_the_next_message_carries_how_many_were_held_back(box: sqlite3.Connection) -> None:
    """The count is told once and then starts anew."""
    for n in range(5):
        accept(box, n, NOW + n)
    accept(box, 10, NOW + 300)
    accept(box, 11, NOW + 601)

    shown, _ = history.list_alerts(box, 0, 20)
    assert [(a["held_back"], a["held_before"]) for a in shown if a["status"] == "accepted"] == [
        (4, 0),
        (0, 4),
        (0, 0),
    ]


@pytest.mark.parametrize(
    "changes", [{"service": "other"}, {"kind": "execution_error"}, {"level": 3}]
)
def test_another_service_kind_or_level_has_a_window_of_its_own(
    box: sqlite3.Connection, changes: dict[str, object]
) -> None:
    """Three in a row (level 3) is not held back by the first failure (level 2)."""
    accept(box, 1, NOW)

    assert accept(box, 2, NOW + 1, CHANNELS, **changes) == "accepted"


def test_a_clock_that_is_set_back_does_not_silence_a_fault(box: sqlite3.Connection) -> None:
    """A window that seems to lie in the future is over."""
    accept(box, 1, NOW)

    assert accept(box, 2, NOW - 3600) == "accepted"


def test_listing_says_when_there_is_more(box: sqlite3.Connection) -> None:
    """The oldest come first, up to the limit, from the given time."""
    for n in range(4):
        accept(box, n, NOW + n)

    shown, more = history.list_alerts(box, NOW + 1, 2)
    assert [a["alert_id"] for a in shown] == [make_alert(n).alert_id for n in (1, 2)]
    assert more
    assert not history.list_alerts(box, NOW + 2, 2)[1]


def test_an_alert_is_found_by_the_start_of_its_id(box: sqlite3.Connection) -> None:
    """The eight digits that a message shows are enough."""
    accept(box, 1, NOW)
    accept(box, 2, NOW)

    (found,) = history.find_alerts(box, make_alert(2).alert_id[:8])
    assert found["alert_id"] == make_alert(2).alert_id


def test_old_alerts_are_forgotten_unless_something_is_still_to_be_delivered(
    box: sqlite3.Connection,
) -> None:
    """Retention never loses a message."""
    accept(box, 1, NOW, ("wecom",))
    accept(box, 2, NOW, ("wecom",), kind="execution_error")
    accept(box, 3, NOW + 1000, ("wecom",), kind="decode_failed")
    claim = deliveries.claim(box, "wecom", Pace(None), NOW)
    assert isinstance(claim, Claim)
    deliveries.settle(box, claim, Delivered(), NOW, RetryPolicy())
    end_quiet_episodes(box, NOW + 600, 600)

    assert outbox.prune(box, NOW + 500) == 1
    assert [a["kind"] for a in history.list_alerts(box, 0, 10)[0]] == [
        "execution_error",
        "decode_failed",
    ]


def test_an_episode_outlives_the_retention(box: sqlite3.Connection) -> None:
    """The alert by which it was taken on stays until the fault is over."""
    accept(box, 1, NOW, ("record",))

    assert outbox.prune(box, NOW + 500) == 0
    end_quiet_episodes(box, NOW + 600, 600)
    assert outbox.prune(box, NOW + 500) == 1
