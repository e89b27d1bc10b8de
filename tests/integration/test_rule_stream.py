"""The rules as the log watcher runs them: a worker process, documents in, alerts out."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.documents import to_document
from ddcolor_operations.toolchain import elastalert

pytestmark = pytest.mark.timeout(120)

HOME = project_root() / "elastalert_rules"
FAILED: dict[str, Any] = {
    semconv.EVENT_NAME: semconv.EVENT_PROMPT_FINISHED,
    semconv.PROMPT_OUTCOME: "failed",
    semconv.ERROR_KIND: "out_of_memory",
    semconv.ERROR_LEVEL: 2,
}


class Worker:
    """One run of the worker; its answers are read as they come."""

    def __init__(self, state: Path, rules: Path) -> None:
        python = elastalert.ensure(print).python
        self.process = subprocess.Popen(
            [str(python), "-m", "ddcolor_alerts.stream", "--state", str(state), "--rules", rules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._sent = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(json.loads(line))

    def answer(self) -> dict[str, Any]:
        """Return the next answer."""
        return self._answers.get(timeout=60)

    def send(self, *messages: object) -> list[dict[str, Any]]:
        """Send messages together; return the answers to them, without the last ``done``."""
        self._sent += 1
        end = {"taken": [], "position": self._sent}
        lines = "".join(json.dumps(message) + "\n" for message in (*messages, end))
        assert self.process.stdin is not None
        self.process.stdin.write(lines.encode())
        self.process.stdin.flush()
        return list(iter(self.answer, {"done": self._sent}))

    def end(self, how: Callable[[subprocess.Popen[bytes]], object]) -> tuple[int, str]:
        """End it; return its status and what it said on stderr."""
        how(self.process)
        return self.process.wait(30), (self.process.stderr or []).read().decode()  # type: ignore[union-attr]


def close(process: subprocess.Popen[bytes]) -> None:
    """End the worker's input."""
    assert process.stdin is not None
    process.stdin.close()


class Clock:
    """When a test's first record is read.

    Set for each test: the worker's clock never goes back, and it begins with that of the machine.
    """

    start = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _from_now_on() -> None:
    Clock.start = datetime.now(UTC)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Return a copy of the project's rules that may be changed."""
    for name in ("rules", "shared"):
        shutil.copytree(HOME / name, tmp_path / "home" / name)
    return tmp_path / "home" / "rules"


@pytest.fixture
def start(tmp_path: Path, rules: Path) -> Iterator[Callable[[], Worker]]:
    """Return what starts a worker on the state of the one before."""
    running: list[Worker] = []

    def begin() -> Worker:
        running.append(Worker(tmp_path / "state" / "rules.sqlite", rules))
        return running[-1]

    yield begin
    for worker in running:
        worker.process.kill()
        worker.process.wait(30)


def document(uid: str, after_s: float = 0, message: str = "Prompt failed", **line: Any) -> Any:
    """Return the message of one record that is read ``after_s`` seconds after the start."""
    at = Clock.start + timedelta(seconds=after_s)
    record = {
        "@timestamp": at.isoformat(),
        "message": message,
        "log.level": "error",
        semconv.SERVICE_NAME: "one",
        semconv.LOG_RECORD_UID: uid,
        **line,
    }
    return {"document": {**to_document(record, at), "_id": uid}, "at": at.isoformat()}


def tick(after_s: float) -> dict[str, str]:
    """Return the message that so much time has passed since the start."""
    return {"tick": (Clock.start + timedelta(seconds=after_s)).isoformat()}


def ids(answers: list[dict[str, Any]]) -> list[str]:
    """Return the ids of the alerts among the answers."""
    return [answer["alert"]["alert_id"] for answer in answers if "alert" in answer]


def test_a_fault_is_one_alert_also_when_it_is_read_twice(start: Callable[[], Worker]) -> None:
    """The second reading of a record says nothing."""
    worker = start()
    assert worker.answer()["ready"]["position"] is None
    fault = document("a", message="Out of memory: again", **FAILED)

    (answer,) = worker.send(fault, fault)
    assert answer["alert"]["rule"] == "keyword_out_of_memory"
    assert worker.send(fault) == []
    assert worker.end(close) == (0, "")


@pytest.mark.parametrize("how", [subprocess.Popen.kill, subprocess.Popen.terminate, close])
def test_the_next_process_goes_on_where_the_last_one_was(
    start: Callable[[], Worker], how: Callable[[subprocess.Popen[bytes]], object]
) -> None:
    """Two failures, an end, one failure is three in a row; an alert not taken is said again."""
    first = start()
    first.answer()
    (alert,) = ids(first.send(document("oom", message="Out of memory: x")))
    assert first.send(document("1", 1, **FAILED), document("2", 2, **FAILED)) == []
    first.end(how)

    second = start()
    assert second.answer()["ready"]["position"] == 2
    assert second.answer()["alert"]["alert_id"] == alert
    second.send({"taken": [alert]})
    (row,) = second.send(document("2", 2, **FAILED), document("3", 3, **FAILED))
    assert (row["alert"]["rule"], row["alert"]["count"]) == ("consecutive_failures", 3)
    second.send({"taken": [row["alert"]["alert_id"]]})
    second.end(how)

    third = start()
    assert third.answer()["ready"]["position"] == 3
    assert third.send(tick(10)) == []


def test_a_half_full_window_survives_a_kill(start: Callable[[], Worker]) -> None:
    """Three of five failures, kill -9, two more: one alert of five, and none after another kill."""
    burst: dict[str, Any] = {**FAILED, semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED}
    first = start()
    first.answer()
    assert first.send(*(document(f"a{n}", n, **burst) for n in range(3))) == []
    first.end(subprocess.Popen.kill)

    second = start()
    second.answer()
    (answer,) = second.send(*(document(f"b{n}", 5 + n, **burst) for n in range(2)))
    assert (answer["alert"]["rule"], answer["alert"]["count"]) == ("frequency_failures", 5)
    second.send({"taken": ids([answer])})
    second.end(subprocess.Popen.kill)

    third = start()
    third.answer()
    assert third.send(*(document(f"c{n}", 10 + n, **burst) for n in range(5))) == []


def test_a_saved_rule_is_used_and_a_broken_one_refused(
    start: Callable[[], Worker], rules: Path
) -> None:
    """The threshold of a saved file counts at once; after a broken one the old version runs on."""
    worker = start()
    worker.answer()
    assert worker.send(document("1", 1, **FAILED), tick(1)) == []

    file = rules / "consecutive_failures.yaml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("threshold: 3", "threshold: 2"), "utf-8")
    (said,) = worker.send(tick(2))
    assert said["rules"] == {"loaded": ["consecutive_failures"], "removed": [], "refused": {}}

    file.write_text(text + "  : [", "utf-8")
    (said,) = worker.send(tick(3))
    assert list(said["rules"]["refused"]) == [str(file)]
    file.write_text(text.replace("threshold: 3", "threshold: 1"), "utf-8")
    (said,) = worker.send(tick(3.5))
    assert "threshold: 1 is not a whole number above 1" in said["rules"]["refused"][str(file)]
    (answer,) = worker.send(tick(4), document("2", 4, **FAILED))
    assert answer["alert"]["count"] == 2

    file.unlink()
    (said,) = worker.send(tick(5))
    assert said["rules"]["removed"] == ["consecutive_failures"]


def test_what_is_of_no_use_is_said_and_left_out(start: Callable[[], Worker]) -> None:
    """Nonsense, a document without an id and a time without a zone do not stop the rest."""
    worker = start()
    worker.answer()
    fault = document("x", message="Out of memory: here")
    wrong = [
        "text",
        {"document": {"body": {}}, "at": Clock.start.isoformat()},
        {"document": {"_id": "y"}, "at": "2026-01-05T08:00:00"},
        {"nothing": 1},
        {"tick": "soon"},
    ]

    answers = worker.send(*wrong, {**fault, "index": "logs-other-default"}, document("z"), fault)
    assert len([answer for answer in answers if "problem" in answer]) == len(wrong)
    # Its index was wrong when it came first.
    assert ids(answers) == []
    assert len(ids(worker.send(document("w", message="Out of memory: there")))) == 1


def test_one_state_belongs_to_one_process(start: Callable[[], Worker]) -> None:
    """A second worker on the same file ends at once, with a sentence."""
    first = start()
    first.answer()

    status, said = start().end(subprocess.Popen.poll)
    assert status == 2
    assert "does another process watch with it" in said
