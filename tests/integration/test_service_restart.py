"""The service as a process: stopped, killed and started again, it loses no prompt."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import ddcolor_service
from tests.support.service import workflow
from tests.support.service_process import ServiceProcess

PHOTO = Path(ddcolor_service.__file__).parent / "assets" / "photos" / "person.jpg"
ENDLESS = """
import time

class Endless:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "go"
    @classmethod
    def INPUT_TYPES(cls):
        return {}
    def go(self):
        time.sleep(3600)

NODE_CLASS_MAPPINGS = {"Endless": Endless}
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """Yield a running service that holds a photo, and has a node that never ends."""
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    (nodes / "endless.py").write_text(ENDLESS)
    running = ServiceProcess(tmp_path, "--nodes", str(nodes)).start()
    files = {"image": ("photo.png", PHOTO.read_bytes())}
    requests.post(f"{running.url}upload/image", files=files, timeout=20).raise_for_status()
    yield running
    running.stop()


def queue(service: ServiceProcess, prompt: dict[str, Any]) -> str:
    """Queue a prompt and return its id."""
    answer = requests.post(f"{service.url}prompt", json={"prompt": prompt}, timeout=20).json()
    assert "prompt_id" in answer, answer
    return str(answer["prompt_id"])


def wait_for(service: ServiceProcess, prompt_id: str, where: str) -> dict[str, Any]:
    """Wait until a prompt is found ``running`` or ``finished``; return its history entry."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if where == "running":
            rows = requests.get(f"{service.url}queue", timeout=20).json()["queue_running"]
            if prompt_id in [row[1] for row in rows]:
                return {}
        else:
            entries = requests.get(f"{service.url}history/{prompt_id}", timeout=20).json()
            if prompt_id in entries:
                found: dict[str, Any] = entries[prompt_id]
                return found
        time.sleep(0.05)
    raise AssertionError(f"the prompt was never {where}")


def test_sigterm_loses_nothing(service: ServiceProcess) -> None:
    """After SIGTERM the status is 0, and the next process finishes what ran and what waited."""
    service.arm("slow_inference", seconds=60)
    prompts = [queue(service, workflow(size=size)) for size in (480, 512, 544)]
    wait_for(service, prompts[0], "running")
    assert service.stop() == 0
    service.start()
    for prompt_id in prompts:
        assert wait_for(service, prompt_id, "finished")["status"]["completed"] is True


def test_a_kill_is_survived(service: ServiceProcess) -> None:
    """A prompt that ran when its process was killed is tried once more; what waited is done."""
    killer = queue(service, {"1": {"class_type": "Endless", "inputs": {}}})
    waiting = queue(service, workflow())
    for _ in range(2):
        wait_for(service, killer, "running")
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
        service.start()
    event, error = wait_for(service, killer, "finished")["status"]["messages"][-1]
    assert event == "execution_error"
    assert "ended twice" in error["exception_message"]
    assert wait_for(service, waiting, "finished")["status"]["completed"] is True


def test_a_kill_right_after_the_answer_loses_nothing(service: ServiceProcess) -> None:
    """Killed as soon as it had accepted them, the next process runs every prompt."""
    prompts = [queue(service, workflow(size=size)) for size in (64, 96, 128, 160)]
    assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    service.start()
    known = requests.get(f"{service.url}queue", timeout=20).json()
    waiting = {row[1] for row in known["queue_running"] + known["queue_pending"]}
    done = requests.get(f"{service.url}history", timeout=20).json()
    assert set(prompts[1:]) <= waiting | set(done)
    for prompt_id in prompts[1:]:
        assert wait_for(service, prompt_id, "finished")["status"]["completed"] is True


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (("--port", "x"), 2, "--port: expected a whole number"),
        (("--fault-injection",), 2, "no admin token"),
        (("--device", "cuda:99"), 1, "device 'cuda:99' is not available here"),
        (("--state", "/dev/null/x"), 1, "cannot start"),
    ],
)
def test_a_start_that_fails(
    tmp_path: Path, options: tuple[str, ...], status: int, told: str
) -> None:
    """A wrong setting ends with 2, what only the start shows with 1; both say what is wrong."""
    run = subprocess.run(
        [sys.executable, "-m", "ddcolor_service", "--state", str(tmp_path / "state"), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    )
    assert run.returncode == status, run.stderr
    assert told in run.stderr
