"""The supervisor on real, small processes: order, restarts, clean ends and no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.stack.part import StackStatus
from tests.support.elastic import eventually

_RUNNER = """
import asyncio, sys
from pathlib import Path
from comfyui_telemetry import configure
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.stack.part import Part
from ddcolor_operations.stack.supervisor import Supervisor

folder = Path(sys.argv[1])
telemetry = configure(service_name="test-stack", log_file=folder / "stack.jsonl",
                      log_stdout=False, traces=False, metrics=False)

def part(name, script, needs=(), **settings):
    ready = folder / f"{name}.ready"
    ready.unlink(missing_ok=True)
    argv = (sys.executable, "-c", script, str(ready))
    return Part(name, "1", None, LaunchSpec(argv), ready.exists, needs, **settings)

WORK = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(1000)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WORK
BROKEN = "print('no such thing as luck'); raise SystemExit(3)"
PLANS = {
    "good": [part("first", WORK), part("second", WORK, ("first",))],
    "stubborn": [part("first", STUBBORN, stop_timeout_s=0.5)],
    "broken": [part("first", WORK), part("second", BROKEN, ("first",))],
}
async def main():
    supervisor = Supervisor(PLANS[sys.argv[2]], log_dir=folder,
                            status_file=folder / "status.json", telemetry=telemetry)
    await supervisor.run()
asyncio.run(main())
telemetry.shutdown()
"""

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor over one of the plans above."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(plan: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", _RUNNER, str(tmp_path), plan])
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def _status(folder: Path) -> StackStatus:
    return StackStatus.from_dict(json.loads((folder / "status.json").read_text()))


def _is_ready(folder: Path) -> bool:
    return (folder / "status.json").exists() and _status(folder).state == "ready"


def _records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "stack.jsonl").read_text().splitlines()]


def test_parts_start_in_order_and_stop_cleanly(tmp_path: Path, start: Start) -> None:
    """A part starts after the parts it needs; SIGTERM ends all and is written down."""
    process = start("good")
    eventually(lambda: _is_ready(tmp_path))
    first, second = _status(tmp_path).parts
    assert first.started_at is not None
    assert second.started_at is not None
    assert first.started_at < second.started_at
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert _status(tmp_path).state == "stopped"
    assert not any(psutil.pid_exists(pid) for pid in (first.pid, second.pid) if pid)
    stopped = [r for r in _records(tmp_path) if r.get("event.name") == semconv.EVENT_PART_STOPPED]
    # Last first, and none of them a fault.
    assert [record[semconv.PART_NAME] for record in stopped] == ["second", "first"]
    assert {record["log.level"] for record in stopped} == {"info"}


def test_a_killed_part_is_restarted_and_said(tmp_path: Path, start: Start) -> None:
    """A crash is restarted with a new pid and logged once as Service down with its signal."""
    start("good")
    eventually(lambda: _is_ready(tmp_path))
    pid = _status(tmp_path).part("second").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: _is_ready(tmp_path) and _status(tmp_path).part("second").pid != pid)
    assert _status(tmp_path).part("second").restarts == 1
    said = [
        record
        for record in _records(tmp_path)
        if record.get("comfyui.error.kind") == "service_down"
    ]
    assert len(said) == 1
    assert said[0]["ddcolor.part.name"] == "second"
    assert said[0]["ddcolor.part.exit"] == "signal 9"
    assert said[0]["message"].startswith("Service down: part second")


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path, start: Start) -> None:
    """SIGKILL of the supervisor takes every part with it."""
    process = start("good")
    eventually(lambda: _is_ready(tmp_path))
    pids = [part.pid for part in _status(tmp_path).parts if part.pid]
    assert len(pids) == 2
    process.kill()
    process.wait()
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_part_that_ignores_sigterm_is_killed(tmp_path: Path, start: Start) -> None:
    """A stop ends within the part's own time-out."""
    process = start("stubborn")
    eventually(lambda: _is_ready(tmp_path))
    pid = _status(tmp_path).parts[0].pid
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_a_part_that_cannot_start_ends_the_stack_with_its_reason(
    tmp_path: Path, start: Start
) -> None:
    """The status holds what the part printed, and the parts that had started are gone."""
    process = start("broken")
    process.wait(30)
    status = _status(tmp_path)
    assert status.state == "failed"
    assert status.problem is not None
    assert "second ended at once (code 3)" in status.problem
    assert "no such thing as luck" in status.problem
    assert all(part.pid is None for part in status.parts)
