"""The log watcher as a process: from a line in a file to the message, whatever is killed."""

from __future__ import annotations

import json
import random
import secrets
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from comfyui_telemetry import semconv
from tests.support.elastic import eventually
from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import Places, places
from tests.support.watching import Watching

pytestmark = pytest.mark.timeout(240)

COMFYUI_FAILURE = """got prompt
!!! Exception during processing !!! CUDA out of memory
Traceback (most recent call last):
  File "/srv/comfy/execution.py", line 1, in execute
    run()
torch.OutOfMemoryError: CUDA out of memory
Prompt executed in 0.11 seconds
"""


def failure(number: int) -> str:
    """Return the log line of a node that ran out of memory, in a prompt of its own."""
    record = {
        "@timestamp": datetime.now(UTC).isoformat(),
        "log.level": "error",
        "message": "Out of memory: node DDColor_Colorize (2)",
        semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
        semconv.SERVICE_NAME: "ddcolor-service",
        semconv.LOG_RECORD_UID: secrets.token_hex(13).upper(),
        semconv.ERROR_KIND: "out_of_memory",
        semconv.ERROR_LEVEL: 2,
        semconv.PROMPT_ID: f"prompt-{number}",
    }
    return json.dumps(record) + "\n"


def heartbeat() -> str:
    """Return the log line of a service that lives."""
    record = {
        "@timestamp": datetime.now(UTC).isoformat(),
        "log.level": "info",
        "message": "Service alive",
        semconv.EVENT_NAME: semconv.EVENT_SERVICE_HEARTBEAT,
        semconv.SERVICE_NAME: "ddcolor-service",
        semconv.LOG_RECORD_UID: secrets.token_hex(13).upper(),
    }
    return json.dumps(record) + "\n"


def add(file: Path, text: str) -> None:
    """Append as a logger does: in one write."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(text)


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    """Run receivers of every channel."""
    with places(tmp_path) as running:
        yield running


@pytest.fixture
def notifier(all_places: Places) -> Iterator[NotifierProcess]:
    """Run a notifier that tells them."""
    process = NotifierProcess(all_places.config(), free_port())
    process.start()
    yield process
    process.kill()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Name a log file that is not there yet."""
    return tmp_path / "log" / "service.jsonl"


@pytest.fixture
def watching(log: Path, notifier: NotifierProcess, tmp_path: Path) -> Iterator[Watching]:
    """Watch it."""
    log.parent.mkdir()
    process = Watching([log.parent], notifier, tmp_path / "watching")
    process.start()
    yield process
    process.kill()


def of_rule(notifier: NotifierProcess, rule: str) -> list[dict[str, Any]]:
    """Return the alerts of one rule that the notifier has."""
    return [alert for alert in notifier.alerts() if alert["rule"] == rule]


def test_one_line_is_one_message(
    watching: Watching, notifier: NotifierProcess, all_places: Places, log: Path
) -> None:
    """A fault's line in a file that comes later is one message on each of its channels."""
    del watching
    add(log, failure(1))
    all_places.wecom.wait_for(1)
    (alert,) = notifier.settled()

    assert (alert["kind"], alert["prompt_id"]) == ("out_of_memory", "prompt-1")
    assert [len(place.received) for place in all_places.all] == [1, 1, 0, 0]


def test_comfyuis_own_lines_raise_the_same_alert(
    watching: Watching, notifier: NotifierProcess, log: Path
) -> None:
    """A log without a single field tells of a fault as the hooks in ComfyUI would."""
    del watching
    add(log.with_name("comfyui.log"), COMFYUI_FAILURE)
    (alert,) = eventually(lambda: of_rule(notifier, "keyword_out_of_memory"))

    assert alert["service"] == "comfyui"
    assert alert["level"] == 2


def test_a_heartbeat_of_the_service_proves_the_chain(
    watching: Watching, notifier: NotifierProcess, log: Path
) -> None:
    """The notifier hears the service through the watcher, and can miss it."""
    del watching
    add(log, heartbeat())

    def beats() -> list[dict[str, Any]]:
        return [beat for beat in paths_of(notifier) if beat["path"] == "watcher"]

    assert eventually(beats)


def paths_of(notifier: NotifierProcess) -> list[dict[str, Any]]:
    """Return the ways by which heartbeats have come to the notifier."""
    found: Any = requests.get(f"{notifier.url}/heartbeats", timeout=10).json()["paths"]
    return [{"path": name, **rest} for name, rest in found.items()]


def test_a_notifier_that_is_away_gets_its_alerts_later(
    watching: Watching, notifier: NotifierProcess, log: Path
) -> None:
    """What happens while the notifier is down is kept, also when the watcher dies meanwhile."""
    notifier.kill()
    add(log, failure(1))
    eventually(lambda: "does not take alerts" in watching.log_file.read_text())
    watching.kill()
    watching.start()
    add(log, failure(2))
    notifier.start()
    found = eventually(
        lambda: of_rule(notifier, "keyword_out_of_memory"), lambda alerts: len(alerts) == 2
    )

    assert {alert["prompt_id"] for alert in found} == {"prompt-1", "prompt-2"}


def test_a_worker_that_dies_is_started_again(
    watching: Watching, notifier: NotifierProcess, log: Path
) -> None:
    """The process that evaluates the rules may be killed: the next one goes on."""
    (worker,) = psutil.Process(watching.process.pid).children()
    worker.kill()
    add(log, failure(1))

    assert eventually(lambda: of_rule(notifier, "keyword_out_of_memory"))


def test_killed_at_random_while_lines_are_written(
    watching: Watching, notifier: NotifierProcess, log: Path, tmp_path: Path
) -> None:
    """No alert is lost and none is doubled; they are those of a reading in one go."""
    dice = random.Random(7)  # noqa: S311 - the same run again
    count, kills = 400, 6
    written = threading.Event()

    def write() -> None:
        for number in range(count):
            line = failure(number)
            cut = dice.randrange(len(line))
            add(log, line[:cut])
            add(log, line[cut:])
            if number and number % 100 == 0:
                log.rename(log.with_name(f"service.jsonl.{number}"))
            written.wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(kills):
        before = len(of_rule(notifier, "keyword_out_of_memory"))
        eventually(
            lambda before=before: (
                len(of_rule(notifier, "keyword_out_of_memory")) > before  # type: ignore[misc]
                or not writer.is_alive()
            )
        )
        watching.kill()
        watching.start()
    writer.join()
    found = eventually(
        lambda: of_rule(notifier, "keyword_out_of_memory"),
        lambda alerts: len({alert["prompt_id"] for alert in alerts}) == count,
        timeout_s=60,
    )

    assert len(found) == count
    lines = [
        line
        for file in sorted(log.parent.glob("service.jsonl*"), key=lambda path: path.stat().st_mtime)
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert len(lines) == count
    assert {alert["alert_id"] for alert in notifier.alerts()} == ids_in_one_go(lines, tmp_path)


def ids_in_one_go(lines: list[str], folder: Path) -> set[str]:
    """Return the ids of the alerts that come of these lines without any interruption."""
    whole = folder / "whole.jsonl"
    whole.write_text("\n".join(lines) + "\n", encoding="utf-8")
    other = folder / "one-go"
    other.mkdir()
    config = other / "notifier.yaml"
    config.write_text("channels: {}\n", encoding="utf-8")
    notifier = NotifierProcess(config, free_port(), DDCOLOR_NOTIFIER_DATA_DIR=str(other / "data"))
    notifier.start()
    try:
        run_once(whole, notifier, other)
        return {alert["alert_id"] for alert in notifier.alerts()}
    finally:
        notifier.kill()


def run_once(log: Path, notifier: NotifierProcess, folder: Path) -> None:
    """Read a file to its end and wait until every alert is taken."""
    subprocess.run(
        [
            *(sys.executable, "-m", "ddcolor_operations", "watch", str(log)),
            *("--once", "--from-start", "--notifier", notifier.url),
            *("--memory", str(folder / "watch.sqlite")),
        ],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )


def test_a_memory_that_is_in_use_is_refused(
    watching: Watching, notifier: NotifierProcess, log: Path
) -> None:
    """Two watchers on one memory would count everything twice: the second says so and ends."""
    del watching
    memory = log.parents[1] / "watching" / "watch.sqlite"
    found = subprocess.run(
        [
            *(sys.executable, "-m", "ddcolor_operations", "watch", str(log)),
            *("--notifier", notifier.url, "--memory", str(memory)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert found.returncode == 1
    assert "another process" in found.stderr


def test_nothing_of_a_log_stands_readable_for_others(watching: Watching, log: Path) -> None:
    """The memory holds records of the rules' windows: it is closed to other users."""
    memory = log.parents[1] / "watching" / "watch.sqlite"
    del watching

    assert memory.stat().st_mode & 0o077 == 0
    with (
        sqlite3.connect(f"file:{memory}?mode=ro", uri=True) as opened,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        opened.execute("SELECT * FROM position").fetchall()
