"""The watchdog as a process of its own beside a notifier that is killed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import CANARIES, Places, places

COMMAND = "from ddcolor_operations.cli import main; main()"


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    with places(tmp_path) as running:
        yield running


@pytest.fixture
def notifier(all_places: Places) -> Iterator[NotifierProcess]:
    config = all_places.config(watchdog={"every_s": 0.1, "dead_after_s": 0.3})
    process = NotifierProcess(config, free_port())
    process.start()
    yield process
    process.kill()


def command(all_places: Places, notifier: NotifierProcess, *arguments: str) -> list[str]:
    config = str(all_places.folder / "notifier.yaml")
    return [
        *(sys.executable, "-c", COMMAND, "watchdog", "--config", config, "--url", notifier.url),
        *arguments,
    ]


def test_a_notifier_that_is_killed_is_said_and_its_return_too(
    all_places: Places, notifier: NotifierProcess
) -> None:
    """Once each by every channel; SIGTERM ends the watchdog in good order; no secret is printed."""
    log_file = all_places.folder / "watchdog.jsonl"
    with (all_places.folder / "watchdog.out").open("wb") as output:
        dog = subprocess.Popen(
            command(all_places, notifier, "--log-file", str(log_file)),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while not log_file.exists():
            assert dog.poll() is None
        notifier.kill()
        for place in all_places.all:
            place.wait_for(1)
        notifier.start()
        for place in all_places.all:
            place.wait_for(2)
    finally:
        dog.terminate()
        assert dog.wait(30) == 0

    assert [len(place.received) for place in all_places.all] == [2, 2, 2, 2]
    for file in (log_file, all_places.folder / "watchdog.out"):
        text = file.read_text(encoding="utf-8")
        assert "Watchdog told wecom" in text
        assert not [canary for canary in CANARIES if canary in text]


def test_a_disk_that_takes_nothing_more_does_not_end_the_watch(
    all_places: Places, notifier: NotifierProcess
) -> None:
    """It may be what the notifier has died of."""
    log_file, state = all_places.folder / "watchdog.jsonl", all_places.folder / "state"
    options = ("--log-file", str(log_file), "--state", str(state / "watchdog.json"))
    dog = subprocess.Popen(command(all_places, notifier, *options), stdout=subprocess.DEVNULL)
    try:
        while not (state / "watchdog.json").exists():
            assert dog.poll() is None
        state.rename(all_places.folder / "away")
        state.write_text("in the way", encoding="utf-8")
        notifier.kill()
        for place in all_places.all:
            place.wait_for(1)
    finally:
        dog.terminate()
        assert dog.wait(30) == 0

    assert "Who has been told could not be written" in log_file.read_text(encoding="utf-8")


def test_once_is_for_cron(all_places: Places, notifier: NotifierProcess) -> None:
    """Exit status 0 and 1, JSON on the output, and nothing said after one failure."""

    def look(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            command(all_places, notifier, "--once", *arguments),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ,
            timeout=60,
        )
        return done.returncode, done.stdout

    code, said = look("--json")
    assert (code, json.loads(said)) == (0, {"url": notifier.url, "alive": True})
    notifier.kill()
    assert look() == (1, f"the notifier at {notifier.url} does not answer\n")
    assert all(place.requests == 0 for place in all_places.all)
