"""A thousand faults while the alerting parts are killed again and again: each is told, once.

The whole chain is real: log lines, agent, gateway, Elasticsearch, ElastAlert2 and the log watcher
with the shipped rules, notifier, HTTP. Only the places that messages go to are local. A third of
the faults can be seen by ElastAlert2 alone, a third by the watcher alone, so that neither makes up
for what the other loses; both see the rest, which must be told once all the same.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.alerting import Alerting
from tests.support.elastic import Pipeline, eventually
from tests.support.faults import RULE, Fault, copies
from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import Places, places
from tests.support.watching import Watching

pytestmark = pytest.mark.timeout(240)

COUNT = 1000
FAULTS = [Fault("chaos", number) for number in range(COUNT)]
LINES_A_WRITE = 20
#: Who is killed how often.
KILLS = {"notifier": 5, "elastalert": 3, "watcher": 4}
CHANNELS = ("wecom", "dingtalk", "sms")
REPEAT = "可能重复"


class Killable(Protocol):
    """A part in a process of its own."""

    def kill(self) -> None:
        """End it at once."""

    def start(self) -> None:
        """Start it and wait until it works."""


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    # Each alert shall be a message of its own: rates and digests have tests of their own.
    with places(tmp_path, per_minute=6000) as running:
        yield running


@pytest.fixture
def notifier(all_places: Places) -> Iterator[NotifierProcess]:
    config = all_places.config(
        retry={"first_s": 0.05, "cap_s": 0.5},
        digest={"from": 500},
        routing={"levels": {2: list(CHANNELS)}},
    )
    process = NotifierProcess(config, free_port())
    process.start()
    yield process
    process.kill()


@pytest.fixture
def alerting(pipeline: Pipeline, notifier: NotifierProcess, tmp_path: Path) -> Iterator[Alerting]:
    running = Alerting(pipeline.url, notifier, tmp_path / "alerting")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def logs(pipeline: Pipeline, tmp_path: Path) -> list[Path]:
    """Return three log files: for the agent alone, for the watcher alone, for both."""
    return [
        pipeline.log_dir / "chaos-agent.jsonl",
        tmp_path / "chaos-watcher.jsonl",
        pipeline.log_dir / "chaos-both.jsonl",
    ]


@pytest.fixture
def watching(notifier: NotifierProcess, logs: list[Path], tmp_path: Path) -> Iterator[Watching]:
    running = Watching(logs[1:], notifier, tmp_path / "watching")
    running.start()
    yield running
    running.stop()


def write_faults(logs: list[Path], told: Callable[[], int]) -> None:
    """Write every fault's record, each in one of the logs, never far ahead of what is ``told``."""
    for start in range(0, COUNT, LINES_A_WRITE):
        eventually(lambda start=start: start - told() < COUNT // 4, timeout_s=120)  # type: ignore[misc]
        for fault in FAULTS[start : start + LINES_A_WRITE]:
            with logs[fault.number % len(logs)].open("a", encoding="utf-8") as file:
                file.write(json.dumps(fault.line()) + "\n")


def test_kill_9_at_random_loses_no_alert_and_doubles_none(
    notifier: NotifierProcess,
    alerting: Alerting,
    watching: Watching,
    all_places: Places,
    logs: list[Path],
) -> None:
    """Every fault is one message in every place, whatever was killed when.

    A gateway that is told an id drops a repeat by itself. A chat robot cannot: the one message
    that was under way when the notifier was killed may come twice, and then says so.
    """
    moments = random.Random(6)  # noqa: S311 - the same kills in each run
    victims = [name for name, times in KILLS.items() for _ in range(times)]
    moments.shuffle(victims)
    # Kills are tied to progress, so that each of them meets a chain at work.
    thresholds = sorted(moments.sample(range(20, COUNT - 50), len(victims)))
    parts: dict[str, Killable] = {
        "notifier": notifier,
        "elastalert": alerting,
        "watcher": watching,
    }

    def told() -> int:
        return len(all_places.wecom.received)

    writing = threading.Thread(target=write_faults, args=(logs, told))
    writing.start()
    for victim, threshold in zip(victims, thresholds, strict=True):
        all_places.wecom.wait_for(threshold, timeout_s=90)
        parts[victim].kill()
        parts[victim].start()
    writing.join()

    used = (all_places.wecom, all_places.dingtalk, all_places.sms)
    eventually(
        lambda: [len(copies(place.received, FAULTS)) for place in used],
        lambda found: found == [COUNT] * len(used),
        timeout_s=90,
    )
    # Once more around: what ElastAlert2 reads again after a kill must change nothing.
    alerting.wait_rounds()
    alerts = [
        alert
        for alert in notifier.settled()
        if alert["rule"] == RULE and alert["service"].startswith("chaos-")
    ]

    assert Counter(alert["alert_id"] for alert in alerts) == Counter(f.alert_id for f in FAULTS)
    assert {
        (delivery["channel"], delivery["status"])
        for alert in alerts
        for delivery in alert["deliveries"]
    } == {(channel, "delivered") for channel in CHANNELS}
    once = Counter(fault.reference for fault in FAULTS)
    assert copies(all_places.sms.received, FAULTS) == once
    for robot in (all_places.wecom, all_places.dingtalk):
        found = copies(robot.received, FAULTS)
        marked = sum(REPEAT in message.text for message in robot.received)
        assert found.keys() == once.keys()
        assert found.total() - COUNT <= marked <= KILLS["notifier"]
