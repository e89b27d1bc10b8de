"""Saying that a fault has not come again."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier import deliveries, history, outbox
from ddcolor_operations.notifier.channels.base import Delivered, Format, GiveUp
from ddcolor_operations.notifier.deliveries import Claim, Item, Pace, RetryPolicy
from ddcolor_operations.notifier.episodes import count_active, end_quiet_episodes
from ddcolor_operations.notifier.occasions import Episode, Form, from_text
from tests.support.alerts import NOON, make_alert, make_renderer, open_outbox

NOW = NOON.timestamp()
QUIET_S = 600.0


@pytest.fixture
def box(tmp_path: Path) -> sqlite3.Connection:
    return open_outbox(tmp_path)


def accept(box: sqlite3.Connection, number: int, at: float, **changes: Any) -> None:
    outbox.accept(box, make_alert(number, **changes), ("wecom", "mail"), at, 300)


def deliver(box: sqlite3.Connection, at: float, channel: str = "wecom") -> tuple[Item, ...]:
    """Deliver what is due on a channel; return it."""
    claim = deliveries.claim(box, channel, Pace(None), at)
    assert isinstance(claim, Claim)
    deliveries.settle(box, claim, Delivered(), at, RetryPolicy())
    return claim.items


def test_a_fault_that_was_held_back_is_said_to_be_over_with_its_number(
    box: sqlite3.Connection,
) -> None:
    """Nobody would learn the held back ones otherwise; the message goes where the alert went."""
    for number in range(4):
        accept(box, number, NOW + number)
    deliver(box, NOW + 5)

    assert end_quiet_episodes(box, NOW + 3 + QUIET_S, QUIET_S).channels == {"wecom", "mail"}
    (item,) = deliver(box, NOW + 700)
    assert item.occasion == Episode(since=NOW, last_at=NOW + 3, total=4)


def test_it_is_not_over_before_its_time_and_is_said_once(box: sqlite3.Connection) -> None:
    """One moment earlier nothing happens, and later nothing more."""
    accept(box, 1, NOW, level=3)

    assert end_quiet_episodes(box, NOW + QUIET_S - 1, QUIET_S).channels == set()
    assert end_quiet_episodes(box, NOW + QUIET_S, QUIET_S).channels == {"wecom", "mail"}
    assert end_quiet_episodes(box, NOW + 10 * QUIET_S, QUIET_S).channels == set()


def test_a_single_chat_alert_needs_no_second_message(box: sqlite3.Connection) -> None:
    """One photo that could not be decoded is over when it is read."""
    accept(box, 1, NOW)

    assert end_quiet_episodes(box, NOW + QUIET_S, QUIET_S).channels == set()


def test_recorded_alerts_stay_silent(box: sqlite3.Connection) -> None:
    """Level 1 sends nothing, neither at its start nor at its end."""
    for number in range(2):
        outbox.accept(box, make_alert(number, level=1), ("record",), NOW, 300)

    assert end_quiet_episodes(box, NOW + QUIET_S, QUIET_S).channels == set()


def test_active_is_what_is_not_over(box: sqlite3.Connection) -> None:
    """Alerts of one fault are one episode, until it ends."""
    accept(box, 1, NOW)
    accept(box, 2, NOW + 1)
    accept(box, 3, NOW + 400, kind="model_not_loaded", level=3)
    assert count_active(box) == 2
    end_quiet_episodes(box, NOW + 1 + QUIET_S, QUIET_S)
    assert count_active(box) == 1


def test_an_episode_spans_its_windows(box: sqlite3.Connection) -> None:
    """A fault that spoke three times is over once, counted from its first alert."""
    for number in range(7):
        accept(box, number, NOW + 100 * number, count=2, level=3)
    end_quiet_episodes(box, NOW + 600 + QUIET_S, QUIET_S)

    (row,) = box.execute(
        "SELECT occasion FROM deliveries WHERE channel = 'mail' AND occasion != ''"
    )
    assert from_text(row["occasion"]) == Episode(since=NOW, last_at=NOW + 600, total=14)


def test_after_its_end_a_fault_starts_anew_and_repeats_no_count(box: sqlite3.Connection) -> None:
    """What the quiet message told is not told again by the next alert."""
    for number in range(3):
        accept(box, number, NOW + number)
    end_quiet_episodes(box, NOW + 1000, QUIET_S)

    accept(box, 10, NOW + 2000)

    shown, _ = history.list_alerts(box, NOW + 2000, 10)
    assert shown[0]["held_before"] == 0
    (row,) = box.execute("SELECT since, total FROM windows").fetchall()
    assert (row["since"], row["total"]) == (NOW + 2000, 1)


def test_a_channel_that_never_got_the_alert_is_not_told_its_end(box: sqlite3.Connection) -> None:
    """The end of something unheard of only puzzles."""
    accept(box, 1, NOW, level=3)
    claim = deliveries.claim(box, "wecom", Pace(None), NOW)
    assert isinstance(claim, Claim)
    deliveries.settle(box, claim, GiveUp("no"), NOW, RetryPolicy())

    assert end_quiet_episodes(box, NOW + QUIET_S, QUIET_S).channels == {"mail"}


def test_alerts_go_before_ends_and_are_never_in_one_digest_with_them(
    box: sqlite3.Connection,
) -> None:
    """What needs action is read first."""
    for number in range(6):
        accept(box, number, NOW, level=3, service=f"s{number}")
    deliver(box, NOW)
    end_quiet_episodes(box, NOW + QUIET_S, QUIET_S)
    for number in range(6, 12):
        accept(box, number, NOW + QUIET_S, level=2, service=f"s{number}")

    first, second = deliver(box, NOW + QUIET_S), deliver(box, NOW + QUIET_S)

    assert [len(first), len(second)] == [6, 6]
    assert {item.occasion is None for item in first} == {True}
    assert {item.occasion is None for item in second} == {False}


def over(number: int, **changes: Any) -> Item:
    return Item(
        number,
        make_alert(number, **changes),
        1,
        0,
        NOW,
        NOW,
        0,
        maybe_sent=False,
        occasion=Episode(NOW, NOW + 90, 12),
        form=Form.OVER,
    )


def test_the_message_reads_well_on_a_phone() -> None:
    """What is over, how often it was, from when to when."""
    message = make_renderer().render([over(1, level=3)], "wecom", 4096, NOW)

    assert message.title == "[已平息] 显存或内存不足 · ddcolor-service"
    assert message.body.splitlines() == [
        '### ✅ <font color="info">已平息：显存或内存不足 · ddcolor-service</font>',
        "一段时间内未再出现。",
        "> 共：12 次",
        "> 首次：2026-03-01 12:00:00 +00:00",
        "> 末次：2026-03-01 12:01:30 +00:00",
        f"> 编号：{make_alert(1).alert_id[:8]}",
    ]
    # It mentions nobody: level 1 is below every mention.
    assert message.level == 1


@pytest.mark.parametrize("format_", ["wecom", "dingtalk", "mail", "sms", "plain"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_many_ends_are_one_message_within_the_limit(format_: Format, language: str) -> None:
    """A storm's end is not a storm of messages."""
    items = [over(n, service=f"**service**-{n}") for n in range(200)]

    message = make_renderer(language).render(items, format_, 402, NOW)

    assert "200" in message.body
    assert len(message.body.encode()) <= 402
    if format_ in {"wecom", "dingtalk"}:
        assert "**service**" not in message.body
    assert message.key != make_renderer(language).render(items[:9], format_, 402, NOW).key
