"""The last word of a ComfyUI that stops, in real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comfyui_telemetry import semconv

_COMFYUI = """
import os, signal, sys, threading
from pathlib import Path
{before}
from comfyui_telemetry.comfyui import start
hooks = start()
{then}
"""
_TERMINATE = "signal.raise_signal(signal.SIGTERM)"


def _run(tmp_path: Path, then: str, before: str = "") -> tuple[int, list[str]]:
    """Run a process that starts the pack; return its exit status and the events it told."""
    log_file = tmp_path / "comfy.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", _COMFYUI.format(before=before, then=then)],
        env={
            "COMFYUI_TELEMETRY_LOG_FILE": str(log_file),
            "COMFYUI_TELEMETRY_SERVICE_HEARTBEAT_S": "0",
            "OTEL_SDK_DISABLED": "true",
            "PATH": "/usr/bin:/bin",
        },
        check=False,
        timeout=60,
    )
    records = [json.loads(line) for line in log_file.read_text().splitlines()]
    names = [str(record.get(semconv.EVENT_NAME)) for record in records]
    return done.returncode, [name for name in names if name.startswith("comfyui.service.")]


@pytest.mark.parametrize(
    ("then", "status"), [("", 0), (_TERMINATE, -signal.SIGTERM), ("sys.exit(3)", 3)]
)
def test_the_stop_is_said_and_is_the_same_stop(tmp_path: Path, then: str, status: int) -> None:
    """The end of the program or SIGTERM: one last word, and the exit status as without it."""
    started, stopped = semconv.EVENT_SERVICE_STARTED, semconv.EVENT_SERVICE_STOPPED
    assert _run(tmp_path, then) == (status, [started, stopped])


def test_anothers_handler_stays(tmp_path: Path) -> None:
    """Who handles SIGTERM already is asked alone; at the end the stop is said all the same."""
    before = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    assert _run(tmp_path, _TERMINATE, before) == (
        7, [semconv.EVENT_SERVICE_STARTED, semconv.EVENT_SERVICE_STOPPED]
    )  # fmt: skip


def test_the_first_process_of_a_container_goes_on(tmp_path: Path) -> None:
    """Without the pack the system ignores its SIGTERM; the stop is said, SIGKILL will follow."""
    before = "os.getpid = lambda: 1"
    assert _run(tmp_path, f"{_TERMINATE}; sys.exit(5)", before) == (
        5, [semconv.EVENT_SERVICE_STARTED, semconv.EVENT_SERVICE_STOPPED]
    )  # fmt: skip


def test_uninstall_gives_the_signal_back(tmp_path: Path) -> None:
    """Nothing is said after it, and the default is in place."""
    then = "hooks.uninstall(); assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    assert _run(tmp_path, then) == (0, [semconv.EVENT_SERVICE_STARTED])


def test_a_terminated_helper_is_not_comfyui(tmp_path: Path) -> None:
    """A forked child dies of the signal as before and says nothing in ComfyUI's name."""
    then = (
        "child = os.fork()\n"
        "if child == 0:\n"
        f"    {_TERMINATE}\n"
        "    os._exit(0)\n"
        "status = os.waitpid(child, 0)[1]\n"
        "hooks.uninstall()\n"
        "sys.exit(os.WTERMSIG(status))"
    )
    assert _run(tmp_path, then) == (signal.SIGTERM, [semconv.EVENT_SERVICE_STARTED])
