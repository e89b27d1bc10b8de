"""Claiming and settling deliveries: order, rates, digests, back-off, blocks, recovery."""

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier import deliveries, history, outbox
from ddcolor_operations.notifier.channels.base import (
    Blocked,
    Delivered,
    GiveUp,
    Outcome,
    Retry,
)
from ddcolor_operations.notifier.deliveries import Claim, Pace, RetryPolicy, Wait
from ddcolor_operations.notifier.occasions import Form
from tests.support.alerts import make_alert, open_outbox

NOW = 1_800_000_000.0
POLICY = RetryPolicy(first_s=1, cap_s=60, give_up_after_s=3600)
PACE = Pace(per_minute=20, digest_from=5)


class Box:
    """An outbox with one channel, and short ways to use it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._number = 0

    def add(self, count: int = 1, at: float = NOW, **changes: Any) -> None:
        """Accept alerts that do not hold each other back."""
        for _ in range(count):
            self._number += 1
            alert = make_alert(self._number, service=f"s{self._number}", **changes)
            outbox.accept(self.connection, alert, ("wecom",), at, 300)

    def claim(self, at: float = NOW, pace: Pace = PACE) -> Claim | Wait:
        """Claim what may be sent."""
        return deliveries.claim(self.connection, "wecom", pace, at)

    def claimed(self, at: float = NOW, pace: Pace = PACE) -> Claim:
        """Claim, and expect that there is something."""
        step = self.claim(at, pace)
        assert isinstance(step, Claim)
        return step

    def settle(self, claim: Claim, outcome: Outcome, at: float = NOW) -> dict[str, int]:
        """Settle a claim; return how many items have which status."""
        settled = deliveries.settle(self.connection, claim, outcome, at, POLICY)
        return {status: len(items) for status, items in settled.items() if items}

    def send(self, outcome: Outcome | None = None, at: float = NOW) -> Claim:
        """Claim and settle."""
        claim = self.claimed(at)
        self.settle(claim, outcome or Delivered(), at)
        return claim

    def states(self) -> list[dict[str, Any]]:
        """Return the deliveries as they are shown."""
        return [a["deliveries"][0] for a in history.list_alerts(self.connection, 0, 1000)[0]]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(open_outbox(tmp_path))


def services(claim: Claim) -> list[str]:
    return [item.alert.service for item in claim.items]


def test_nothing_to_do_waits_for_a_new_alert(box: Box) -> None:
    """An empty outbox gives no time to wait until."""
    assert box.claim() == Wait(None)


def test_the_loudest_goes_first_then_the_oldest(box: Box) -> None:
    """Level 3 overtakes; within a level the order is that of arrival."""
    box.add()
    box.add(level=3)
    box.add()

    assert [services(box.send()) for _ in range(3)] == [["s2"], ["s1"], ["s3"]]


def test_a_delivered_message_is_never_claimed_again(box: Box) -> None:
    """Once confirmed, it is done."""
    box.add()
    box.send()

    assert box.claim(NOW + 10_000) == Wait(None)
    assert box.states()[0]["status"] == "delivered"


def test_a_failed_try_waits_longer_each_time_up_to_the_cap(box: Box) -> None:
    """The wait doubles, between half of it and the whole of it, and stops at the cap."""
    box.add()
    at = NOW
    for failures in range(1, 12):
        box.send(Retry("HTTP 500"), at)
        step = box.claim(at)
        assert isinstance(step, Wait)
        assert step.until is not None
        full = min(60.0, 2.0 ** (failures - 1))
        assert full / 2 <= step.until - at <= full
        at = step.until


def test_the_jitter_spreads_the_tries() -> None:
    """Two notifiers that failed together do not try again together."""
    random.seed(1)

    assert len({POLICY.delay(5) for _ in range(10)}) == 10


def test_a_delivery_that_fails_for_too_long_is_dead_and_says_why(box: Box) -> None:
    """The first failure after the age limit is the last."""
    box.add()
    box.send(Retry("HTTP 500"), NOW + 3599)
    assert box.states()[0]["status"] == "pending"

    claim = box.claimed(NOW + 4000)
    assert box.settle(claim, Retry("HTTP 502"), NOW + 4000) == {"dead": 1}
    assert box.states()[0]["error"] == "HTTP 502"


def test_a_hopeless_refusal_is_dead_at_once(box: Box) -> None:
    """What no later try can change is not tried again."""
    box.add()

    assert box.settle(box.claimed(), GiveUp("errcode 40058")) == {"dead": 1}


def test_a_dead_delivery_can_be_revived_with_a_new_life(box: Box) -> None:
    """After a revival a failure is a retry again, not the end."""
    box.add()
    box.send(GiveUp("errcode 40058"))

    assert deliveries.revive(box.connection, NOW + 9000, make_alert(1).alert_id, None) == 1
    assert box.settle(box.claimed(NOW + 9000), Retry("HTTP 500"), NOW + 9001) == {"retry": 1}


def test_all_dead_deliveries_of_a_channel_can_be_revived(box: Box) -> None:
    """Another channel's stay dead."""
    box.add(3)
    for _ in range(3):
        box.send(GiveUp("no"))

    assert deliveries.revive(box.connection, NOW, None, "mail") == 0
    assert deliveries.revive(box.connection, NOW, None, None, ("heal", "wecom")) == 0
    assert deliveries.revive(box.connection, NOW, None, "wecom") == 3


def test_a_block_holds_every_delivery_of_the_channel(box: Box) -> None:
    """Neither the refused message nor a later one is tried before the block ends."""
    box.add()
    box.send(Blocked("errcode 130101", 600))
    box.add(at=NOW + 10)

    assert box.claim(NOW + 599) == Wait(NOW + 600)
    assert services(box.claimed(NOW + 600)) == ["s1"]


def test_a_channel_that_stays_blocked_ends_as_dead_too(box: Box) -> None:
    """A block is not a way to wait for ever."""
    box.add()
    claim = box.claimed(NOW + 4000)

    assert box.settle(claim, Blocked("errcode 130101", 600), NOW + 4000) == {"dead": 1}


def test_never_more_requests_in_a_minute_than_the_channel_takes(box: Box) -> None:
    """Over ten minutes of a steady stream no minute holds more than the limit."""
    at, sent = NOW, []
    while at < NOW + 600:
        box.add(at=at)
        step = box.claim(at)
        if isinstance(step, Claim):
            sent.append(at)
            box.settle(step, Delivered(), at)
        at += 1
    assert sent
    for start in sent:
        assert sum(start <= moment < start + 60 for moment in sent) <= 20


def test_failed_requests_count_for_the_rate_too(box: Box) -> None:
    """A robot counts what it refuses."""
    pace = Pace(per_minute=2)
    box.add(2)
    for _ in range(2):
        box.settle(box.claimed(NOW, pace), Retry("HTTP 500"))

    step = box.claim(NOW + 30, pace)
    assert isinstance(step, Wait)
    assert step.until is not None
    assert step.until > NOW + 60


def test_overflow_becomes_one_digest(box: Box) -> None:
    """What waits for a free slot goes in one message once there is one."""
    pace = Pace(per_minute=2, digest_from=100)
    box.add(2)
    for _ in range(2):
        box.settle(box.claimed(NOW, pace), Delivered())
    box.add(7)

    step = box.claim(NOW + 1, pace)
    assert isinstance(step, Wait)
    assert step.until is not None
    assert len(box.claimed(step.until, pace).items) == 7


def test_the_last_free_slot_carries_all_that_is_due(box: Box) -> None:
    """Two messages and one slot are a digest of two."""
    pace = Pace(per_minute=2, digest_from=100)
    box.add(3)

    assert services(box.claimed(NOW, pace)) == ["s1", "s2", "s3"]


def test_a_storm_is_one_message(box: Box) -> None:
    """Five hundred alerts at once are one digest, though twenty slots are free."""
    box.add(500)

    claim = box.send()
    assert len(claim.items) == 500
    assert box.claim() == Wait(None)


def test_a_critical_alert_stays_alone_in_a_storm(box: Box) -> None:
    """The one of level 3 is its own message, and the storm follows as a digest."""
    box.add(50)
    box.add(level=3)

    assert services(box.send()) == ["s51"]
    assert len(box.send().items) == 50


def hold(box: Box, count: int, until: float, **changes: Any) -> None:
    """Accept alerts in the quiet hours that end at ``until``."""
    for number in range(count):
        alert = make_alert(1000 + number, service=f"night{number}", **changes)
        outbox.accept(box.connection, alert, ("wecom",), NOW, 300, not_before=until)


def test_the_night_is_one_digest_in_the_morning(box: Box) -> None:
    """Two are enough for it, and before its time nothing is sent."""
    hold(box, 2, NOW + 3600)

    assert box.claim() == Wait(NOW + 3600)
    claim = box.claimed(NOW + 3600)
    assert services(claim) == ["night0", "night1"]
    assert {item.form for item in claim.items} == {Form.HELD_OVER}


def test_who_sleeps_not_is_told_in_the_night(box: Box) -> None:
    """A healer that is asked in the morning would mend what has long been well."""
    outbox.accept(
        box.connection,
        make_alert(),
        ("record", "heal", "wecom"),
        NOW,
        300,
        not_before=NOW + 3600,
        at_once=("heal",),
    )

    assert box.claim() == Wait(NOW + 3600)
    claim = deliveries.claim(box.connection, "heal", Pace(None, digests=False), NOW)
    assert isinstance(claim, Claim)
    assert [item.form for item in claim.items] == [Form.ALERT]


def test_what_comes_in_the_morning_goes_before_the_night(box: Box) -> None:
    """The digest of what is past does not swallow what is new."""
    hold(box, 3, NOW + 3600)
    box.add(1, NOW + 3600)

    assert services(box.send(at=NOW + 3600)) == ["s1"]
    assert len(box.send(at=NOW + 3600).items) == 3


def test_the_age_of_what_was_held_over_starts_in_the_morning(box: Box) -> None:
    """A night that is longer than the age limit kills no message at its first failure."""
    hold(box, 1, NOW + 10_000)

    claim = box.claimed(NOW + 10_000)
    assert box.settle(claim, Retry("HTTP 500"), NOW + 10_000) == {"retry": 1}


def test_a_channel_without_digests_gets_each_alert_by_itself(box: Box) -> None:
    """Each request for healing is one."""
    box.add(30)
    pace = Pace(None, digest_from=5, digests=False)

    for _ in range(30):
        claim = box.claimed(pace=pace)
        assert len(claim.items) == 1
        box.settle(claim, Delivered())
    assert box.claim(pace=pace) == Wait(None)


def test_few_alerts_at_once_are_messages_of_their_own(box: Box) -> None:
    """A digest is for many; four are four messages."""
    box.add(4)

    assert [len(box.send().items) for _ in range(4)] == [1, 1, 1, 1]


def test_a_failed_digest_is_tried_again_as_one(box: Box) -> None:
    """The alerts of a digest become due at one moment."""
    box.add(6)
    box.send(Retry("HTTP 500"))

    step = box.claim()
    assert isinstance(step, Wait)
    assert step.until is not None
    assert len(box.claimed(step.until).items) == 6


def test_a_killed_process_leaves_a_try_that_is_taken_up_and_marked(box: Box) -> None:
    """The next process sends it again and says that it may be a repeat."""
    box.add()
    box.claimed()

    assert deliveries.recover(box.connection, NOW + 5) == 1
    (item,) = box.claimed(NOW + 5).items
    assert item.maybe_sent
    assert item.attempts == 2


def test_a_settled_try_is_not_taken_up(box: Box) -> None:
    """Recovery touches neither what was confirmed nor what was refused."""
    box.add(2)
    box.send()
    box.send(Retry("HTTP 500"))

    assert deliveries.recover(box.connection, NOW + 5) == 0
    assert [state["maybe_sent"] for state in box.states()] == [False, False]


@pytest.mark.parametrize("maybe_sent", [True, False])
def test_only_a_try_of_unknown_fate_marks_the_next_as_a_possible_repeat(
    box: Box, maybe_sent: bool
) -> None:
    """A refusal is certain; a lost answer is not."""
    box.add()
    box.send(Retry("lost", maybe_sent))

    (item,) = box.claimed(NOW + 60).items
    assert item.maybe_sent is maybe_sent


def test_the_state_of_a_channel_is_told(box: Box) -> None:
    """Counts, block and last delivery are there for the health page."""
    box.add(3)
    box.send()
    box.send(Retry("HTTP 500"))
    box.send(Blocked("errcode 45009", 60))

    state = deliveries.channel_states(box.connection, NOW)["wecom"]
    assert (state["pending"], state["failing"], state["dead"]) == (2, 2, 0)
    assert state["blocked_until"] is not None
    assert state["last_delivered_at"] is not None


def test_what_died_long_ago_does_not_make_a_channel_ill_for_ever(box: Box) -> None:
    """After a day it is still counted as dead, and no longer as news."""
    box.add()
    box.send(GiveUp("errcode 40058"))

    for at, lately in ((NOW + 86_000, 1), (NOW + 87_000, 0)):
        state = deliveries.channel_states(box.connection, at)["wecom"]
        assert (state["dead"], state["died_lately"]) == (1, lately)


def test_a_partial_delivery_keeps_its_note(box: Box) -> None:
    """That one of two receivers was refused is not lost."""
    box.add()
    box.send(Delivered("1 of 2 receivers were refused"))

    assert box.states()[0]["error"] == "1 of 2 receivers were refused"
