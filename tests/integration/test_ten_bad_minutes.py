"""Ten minutes in which every place fails in every way, then well: each alert arrives once.

The minutes go by on a clock of their own; the requests, answers and time-outs are real.
"""

import asyncio
import itertools
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddcolor_operations.notifier import deliveries, outbox
from ddcolor_operations.notifier.channels.base import Channel
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.deliveries import Claim, Pace, RetryPolicy
from ddcolor_operations.receivers import Failure, Receiver
from tests.support.alerts import make_alert, make_renderer, open_outbox
from tests.support.more_places import MorePlaces, more_places
from tests.support.places import Places, places

BAD_S = 600.0
TIMEOUT_S = 2.0
#: What a place says when it is ill, beside HTTP 500, hanging up and silence.
CODES: dict[str, list[Failure]] = {
    "wecom": [Failure.code(45009), Failure.code(93000), Failure.code(-1)],
    "dingtalk": [Failure.code(310000), Failure.code(300005), Failure.code(-1)],
    "aliyun_sms": [Failure.code(0, "isv.OUT_OF_SERVICE"), Failure.code(500, "x")],
    "tencent_sms": [Failure.code(0, "LimitExceeded.PhoneNumberThirtySecondLimit")],
    "alertmanager": [Failure.code(503)],
}


class Clock:
    """The time of the outbox and of the robots."""

    def __init__(self) -> None:
        # Signatures carry the real time, which must not be far from what the places think.
        self.start = self.now = time.time()

    def __call__(self) -> float:
        """Return what time it is, in seconds since the epoch."""
        return self.now


class Way:
    """One channel with its place, and what it does at a moment."""

    def __init__(self, name: str, channel: Channel, place: Receiver, pace: Pace) -> None:
        self.name = name
        self.place = place
        self._channel = channel
        self._pace = pace
        self._renderer = make_renderer()
        # Each time-out takes real seconds: two of them are enough.
        # An SMTP reply of 500 is final; the others' is HTTP's.
        error = Failure.status(451 if name == "mail" else 500)
        quick = [error, Failure.hang_up(), *CODES.get(name, [])]
        self._failures = itertools.chain([Failure.silence()] * 2, itertools.cycle(quick))

    async def step(self, box: sqlite3.Connection, clock: Clock) -> float | None:
        """Send what is due; return when to come again (now, later, or None for never)."""
        claim = deliveries.claim(box, self.name, self._pace, clock.now)
        if not isinstance(claim, Claim):
            return claim.until
        bad = clock.now < clock.start + BAD_S
        if bad:
            self.place.fail(next(self._failures))
        format_, limit = self._channel.shape(2, None)
        message = self._renderer.render(claim.items, format_, limit, clock.now)
        outcome = await self._channel.send(message)
        deliveries.settle(box, claim, outcome, clock.now, RetryPolicy())
        return clock.now


async def live(box: sqlite3.Connection, ways: list[Way], clock: Clock, alerts: int) -> None:
    """Let alerts come in the bad minutes, and time go by until nothing is left to do."""
    spread = random.Random(3)  # noqa: S311 - the same moments in each run
    coming = sorted(clock.start + spread.uniform(0, BAD_S) for _ in range(alerts))
    numbers = itertools.count()
    while True:
        while coming and coming[0] <= clock.now:
            coming.pop(0)
            number = next(numbers)
            alert = make_alert(number, service=f"s{number}")
            outbox.accept(box, alert, [way.name for way in ways], clock.now, 300)
        again = await asyncio.gather(*(way.step(box, clock) for way in ways))
        later = [at for at in (*again, *coming[:1]) if at is not None]
        if not later:
            return
        assert clock.now < clock.start + 3600
        clock.now = max(min(later), clock.now)


@pytest.fixture
def box(tmp_path: Path) -> sqlite3.Connection:
    return open_outbox(tmp_path)


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    with places(tmp_path) as running:
        yield running


@pytest.fixture
def more(tmp_path: Path) -> Iterator[MorePlaces]:
    with more_places(tmp_path) as running:
        yield running


def the_usual(all_places: Places, clock: Clock, pace: Pace | None = None) -> list[Way]:
    """Return the four usual ways; ``pace`` instead of the channel's own."""
    config = load_config(all_places.config(timeout_s=TIMEOUT_S), {})
    ways = []
    for place in all_places.all:
        place.clock = clock
        channel = config.channels[place.name]
        ways.append(Way(place.name, channel, place, pace or Pace(channel.per_minute)))
    return ways


def statuses(box: sqlite3.Connection) -> Counter[tuple[str, str]]:
    rows = box.execute("SELECT channel, status FROM deliveries")
    return Counter((row["channel"], row["status"]) for row in rows)


async def test_each_alert_reaches_each_place_once_by_its_reference(
    box: sqlite3.Connection, more: MorePlaces
) -> None:
    """One message for each alert, so that each can be told apart: none lost, none doubled."""
    count, clock, one_by_one = 8, Clock(), Pace(None, digest_from=10_000)
    with places(more.folder, per_minute=6000) as all_places:
        ways = the_usual(all_places, clock, one_by_one)
        for name in ("webhook", "alertmanager", "aliyun_sms", "tencent_sms"):
            # These check the time of a signature by the real clock, by which it was made.
            place, channel = more.receivers[name], more.channel(name, timeout_s=TIMEOUT_S)
            ways.append(Way(name, channel, place, one_by_one))

        await live(box, ways, clock, count)

    assert statuses(box) == {(way.name, "delivered"): count for way in ways}
    ids = [make_alert(number).alert_id for number in range(count)]
    for way in ways:
        texts = [f"{m.text} {m.details.get('id')}" for m in way.place.received]
        assert way.place.requests > len(texts) == count, way.name
        for alert_id in ids:
            assert sum(alert_id[:8] in text for text in texts) == 1, way.name


async def test_with_digests_the_numbers_add_up_and_no_rate_is_broken(
    box: sqlite3.Connection, all_places: Places
) -> None:
    """What was kept waiting comes in few messages, and the robots never say "too fast"."""
    count, clock = 60, Clock()
    ways = the_usual(all_places, clock)

    await live(box, ways, clock, count)

    assert statuses(box) == {(way.name, "delivered"): count for way in ways}
    errors = {row["reason"] for row in box.execute("SELECT reason FROM blocks")}
    # The only "too fast" is the one that the test has scripted.
    assert all("scripted" in error for error in errors), errors
    for place in all_places.all:
        totals = [re.search(r"告警汇总：(\d+) 条", message.text) for message in place.received]
        assert sum(int(total[1]) if total else 1 for total in totals) == count, place.name
    for robot in (all_places.wecom, all_places.dingtalk):
        assert len(robot.received) < count / 2
