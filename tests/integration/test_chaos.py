"""A thousand faults while the alerting parts are killed again and again: each is told, once.

The whole chain is real: log lines, agent, gateway, Elasticsearch, ElastAlert2 and the log watcher
with the shipped rules, notifier, HTTP. Only the places that messages go to are local. A fifth of
the faults can be seen by ElastAlert2 alone, three fifths by the watcher alone, so that neither
makes up for what the other loses; both see the rest, which must be told once all the same.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddcolor_operations.receivers import Receiver
from tests.support.alerting import Alerting
from tests.support.elastic import Pipeline, eventually
from tests.support.faults import RULE, Fault, copies
from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import Places, places
from tests.support.watching import Watching

pytestmark = pytest.mark.timeout(480)

COUNT = 1000
FAULTS = [Fault("chaos", number) for number in range(COUNT)]
LINES_A_WRITE = 20
#: Faults that are written and not yet told on the slower way.
WAITING = 60
#: A bound for a machine that has much else to do, not what it takes.
PATIENCE_S = 200.0
#: Who is killed how often.
KILLS = {"notifier": 4, "elastalert": 3, "watcher": 3}
CHANNELS = ("wecom", "dingtalk", "sms")
REPEAT = "可能重复"


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


@dataclass(frozen=True)
class Logs:
    """Three log files, by who follows them."""

    agent: Path
    watcher: Path
    both: Path

    def of(self, fault: Fault) -> Path:
        """Return where a fault is logged."""
        logs = (self.agent, self.watcher, self.both, self.watcher, self.watcher)
        return logs[fault.number % len(logs)]


@pytest.fixture
def logs(pipeline: Pipeline, tmp_path: Path) -> Logs:
    folder = pipeline.log_dir
    return Logs(
        folder / "chaos-agent.jsonl", tmp_path / "chaos-watcher.jsonl", folder / "chaos-both.jsonl"
    )


@pytest.fixture
def watching(notifier: NotifierProcess, logs: Logs, tmp_path: Path) -> Iterator[Watching]:
    running = Watching([logs.watcher, logs.both], notifier, tmp_path / "watching")
    running.start()
    yield running
    running.stop()


def write_faults(logs: Logs, robot: Receiver) -> None:
    """Write every fault's record, at the pace of the slower way: kills shall meet both at work."""
    slow = [fault for fault in FAULTS if logs.of(fault) == logs.agent]
    for start in range(0, COUNT, LINES_A_WRITE):
        written = sum(fault.number < start for fault in slow)
        eventually(
            lambda: len(copies(robot.received, slow)),
            lambda told, written=written: written - told < WAITING,  # type: ignore[misc]
            timeout_s=PATIENCE_S,
        )
        for fault in FAULTS[start : start + LINES_A_WRITE]:
            with logs.of(fault).open("a", encoding="utf-8") as file:
                file.write(json.dumps(fault.line()) + "\n")


def test_kill_9_at_random_loses_no_alert_and_doubles_none(
    notifier: NotifierProcess,
    alerting: Alerting,
    watching: Watching,
    all_places: Places,
    logs: Logs,
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
    kill = {"notifier": notifier.kill, "elastalert": alerting.kill, "watcher": watching.kill}
    # ElastAlert2 is ready after its first round, in which it says all that it reads again. It can
    # be killed before that, too.
    start = {
        "notifier": notifier.start,
        "elastalert": alerting.process.start,
        "watcher": watching.start,
    }

    writing = threading.Thread(target=write_faults, args=(logs, all_places.wecom))
    writing.start()
    for victim, threshold in zip(victims, thresholds, strict=True):
        all_places.wecom.wait_for(threshold, timeout_s=PATIENCE_S)
        kill[victim]()
        start[victim]()
    writing.join()

    used = (all_places.wecom, all_places.dingtalk, all_places.sms)
    eventually(
        lambda: [len(copies(place.received, FAULTS)) for place in used],
        lambda found: found == [COUNT] * len(used),
        timeout_s=PATIENCE_S,
    )
    eventually(alerting.ready_file.exists, timeout_s=PATIENCE_S)
    # Once more around: what ElastAlert2 reads again after a kill must change nothing.
    alerting.wait_rounds()
    alerts = [
        alert
        for alert in notifier.settled(PATIENCE_S)
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
