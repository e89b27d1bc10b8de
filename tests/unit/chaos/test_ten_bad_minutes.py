"""Ten minutes in which no place takes a message, and the hour after: nothing lost, nothing doubled.

Outbox, channels, robots and the connections between them are real; only the clock is not, so that
ten minutes of waiting are over at once.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import sqlite3
import time
from collections import Counter
from pathlib import Path

from ddcolor_operations.notifier import deliveries, outbox
from ddcolor_operations.notifier.channels.base import Channel
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.deliveries import Pace, RetryPolicy, Wait
from ddcolor_operations.receivers import Failure, Receiver
from tests.support.alerts import make_alert, make_renderer, open_outbox
from tests.support.places import Places, places

ILL_S = 600.0
POLICY = RetryPolicy()
CHANNELS = ("wecom", "dingtalk", "sms", "mail")
SICK = {
    "wecom": (Failure.status(500), Failure.code(45009), Failure.code(-1), Failure.code(93000)),
    "dingtalk": (Failure.status(500), Failure.code(310000), Failure.code(-1)),
    "sms": (Failure.status(500), Failure.code(403)),
    "mail": (Failure.status(451), Failure.status(421)),
}
#: Which tries of an ill place are not answered at all.
SILENT = (2, 5)
_REFERENCE = re.compile("编号 ([0-9a-f]{8})")
_DIGEST = re.compile("汇总：([0-9]+) ")


class Place:
    """One channel with what it leads to, and a clock of its own.

    While the place is ill, every request fails, so a short time limit hides nothing; a place that
    is well is never given up on for being slow.
    """

    def __init__(self, name: str, receiver: Receiver, ill: Channel, well: Channel) -> None:
        self.name = name
        self.receiver = receiver
        self.now = self.start = time.time()
        self.sent_when_well = self._sent_when_ill = 0
        # What it does wrong is the same in each run.
        self._random = random.Random(name)  # noqa: S311
        self._ill, self._well = ill, well
        receiver.clock = lambda: self.now

    def channel(self) -> Channel:
        """Return what to send with now; an ill place has its next failure ready."""
        self.receiver.behave()
        if self.now >= self.start + ILL_S:
            self.sent_when_well += 1
            return self._well
        self._sent_when_ill += 1
        # Silence is the one failure that takes real time.
        silent = self._sent_when_ill in SILENT
        failures = (*SICK[self.name], Failure.hang_up())
        self.receiver.fail(Failure.silence() if silent else self._random.choice(failures))
        return self._ill

    async def deliver_all(self, connection: sqlite3.Connection, pace: Pace) -> None:
        """Do what a worker of the notifier does, and jump over its waits."""
        renderer = make_renderer()
        while True:
            step = deliveries.claim(connection, self.name, pace, self.now)
            if isinstance(step, Wait):
                if step.until is None:
                    return
                # What is due in an instant is due: the clock must go on.
                self.now = max(step.until, math.nextafter(self.now, math.inf))
                continue
            channel = self.channel()
            message = renderer.render(step.items, channel.format, channel.limit, self.now)
            outcome = await channel.send(message)
            self.now += 0.05
            deliveries.settle(connection, step, outcome, self.now, POLICY)


def all_of(running: Places) -> list[Place]:
    ill = load_config(running.config(timeout_s=2.0), {}).channels
    well = load_config(running.config(timeout_s=30.0), {}).channels
    return [Place(r.name, r, ill[r.name], well[r.name]) for r in running.all]


async def run(
    all_places: list[Place], connection: sqlite3.Connection, count: int, **pace: int
) -> None:
    """Raise ``count`` alerts of different services over the ten minutes, and deliver them all."""
    start = all_places[0].start
    for number in range(count):
        alert = make_alert(number, service=f"s{number}", level=3)
        outbox.accept(connection, alert, CHANNELS, start + number * ILL_S / count, 300)
    await asyncio.gather(
        *(
            place.deliver_all(connection, Pace(pace.get(place.name, 6000), pace["digest_from"]))
            for place in all_places
        )
    )
    rows = connection.execute("SELECT channel, status, count(*) FROM deliveries GROUP BY 1, 2")
    assert {tuple(row) for row in rows} == {(name, "delivered", count) for name in CHANNELS}


async def test_every_alert_reaches_every_place_exactly_once(tmp_path: Path) -> None:
    """After HTTP 500, errcodes, silence and hang-ups, each alert is one message in each place."""
    count = 12
    connection = open_outbox(tmp_path)
    with places(tmp_path, per_minute=6000) as running:
        all_places = all_of(running)
        await run(all_places, connection, count, digest_from=500)

    expected = Counter(make_alert(number).alert_id[:8] for number in range(count))
    for place in all_places:
        assert place.receiver.requests > count * 2
        texts = [message.text for message in place.receiver.received]
        assert Counter(r for text in texts for r in set(_REFERENCE.findall(text))) == expected
    connection.close()


async def test_what_gathered_comes_at_the_robots_pace_and_its_numbers_add_up(
    tmp_path: Path,
) -> None:
    """With the shipped pace the robots, who count to 20 a minute themselves, refuse nothing."""
    count = 25
    connection = open_outbox(tmp_path)
    with places(tmp_path) as running:
        all_places = all_of(running)
        await run(all_places, connection, count, digest_from=5, wecom=20, dingtalk=20)

    for place in all_places:
        messages = [message.title + message.text for message in place.receiver.received]
        numbers = [_DIGEST.search(message) for message in messages]
        assert sum(int(number[1]) if number else 1 for number in numbers) == count
        assert len(messages) == place.sent_when_well
    connection.close()
