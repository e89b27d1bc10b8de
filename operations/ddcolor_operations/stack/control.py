"""Start, follow, inspect and end a stack from outside its supervisor process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from .config import StackConfig
from .launch import LaunchSpec
from .part import StackStatus
from .ports import taken_ports

_POLL_S = 0.2
_STOP_TIMEOUT_S = 90.0
Progress = Callable[[str], None]


class StackError(Exception):
    """The stack cannot be started, reached or stopped; the message says why and what to do."""


def status_file(state: Path) -> Path:
    """Return the file that the supervisor keeps its status in."""
    return state / "run" / "status.json"


def read_status(state: Path) -> StackStatus | None:
    """Return the status of the stack in ``state``; None if no supervisor lives there."""
    try:
        status = StackStatus.from_dict(json.loads(status_file(state).read_text()))
    except FileNotFoundError:
        return None
    return status if _is_supervisor(status.supervisor_pid, state) else None


def start(config: StackConfig, progress: Progress, *, detached: bool) -> StackStatus:
    """Start the supervisor and return once every part is ready.

    ``detached`` lets the stack live on when this process ends; otherwise it ends with it. Raises
    StackError if a stack already runs there, a port is taken, or a part does not get ready.
    """
    running = read_status(config.state)
    if running is not None:
        raise StackError(
            f"A stack already runs in {config.state} (pid {running.supervisor_pid})."
            " Stop it with 'ddcolor-obs down', or choose another --state and --port-offset."
        )
    if taken := taken_ports(config):
        advice = (
            "Stop the holder, shift all ports with --port-offset N, or move one with"
            f" DDCOLOR_OBS_PORT_{taken[0].name.upper()}."
        )
        raise StackError("\n".join([*(str(port) for port in taken), advice]))
    config.save()
    config.log_dir.mkdir(parents=True, exist_ok=True)
    status_file(config.state).unlink(missing_ok=True)
    process = _spawn_supervisor(config, detached=detached)
    try:
        return _follow(process, config.state, progress)
    except BaseException:
        process.terminate()
        process.wait(_STOP_TIMEOUT_S)
        raise


def stop(state: Path) -> bool:
    """End the stack in ``state`` cleanly; return False when none was running."""
    status = read_status(state)
    if status is None:
        return False
    process = psutil.Process(status.supervisor_pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except psutil.TimeoutExpired:
        raise StackError(
            f"The stack (pid {process.pid}) has not stopped after {_STOP_TIMEOUT_S:.0f} s;"
            f" see {state / 'log' / 'stack.out'}."
        ) from None
    return True


class RunningStack:
    """A stack that is up: what tests and the demo do with it."""

    def __init__(self, config: StackConfig) -> None:
        self.config = config

    def status(self) -> StackStatus:
        """Return the present status. Raises StackError when the supervisor is gone."""
        status = read_status(self.config.state)
        if status is None:
            raise StackError(f"No stack runs in {self.config.state} any more.")
        return status

    def kill(self, part: str) -> int:
        """Kill one part as a crash would (SIGKILL) and return the pid it had."""
        pid = self.status().part(part).pid
        if pid is None:
            raise StackError(f"Part {part} is not running now.")
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_ready(self, part: str, *, not_pid: int | None = None, timeout_s: float = 90.0) -> None:
        """Wait until ``part`` is ready, in another process than ``not_pid`` if that is given."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            now = self.status().part(part)
            if now.state == "ready" and now.healthy and now.pid != not_pid:
                return
            time.sleep(_POLL_S)
        raise StackError(f"Part {part} was not ready after {timeout_s:.0f} s; see {now.log}.")


@contextmanager
def running_stack(
    config: StackConfig, progress: Progress, *, keep: bool = False
) -> Iterator[RunningStack]:
    """Bring a stack up for the length of the block; with ``keep`` it stays up afterwards."""
    start(config, progress, detached=keep)
    try:
        yield RunningStack(config)
    finally:
        if not keep:
            stop(config.state)


def _spawn_supervisor(config: StackConfig, *, detached: bool) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "ddcolor_operations.stack", str(config.state)]
    command = argv if detached else LaunchSpec(tuple(argv)).command()
    with (config.log_dir / "stack.out").open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _follow(process: subprocess.Popen[bytes], state: Path, progress: Progress) -> StackStatus:
    """Tell each part's way to readiness; return when all are ready. Raises StackError."""
    told: set[str] = set()
    while True:
        code = process.poll()
        try:
            status = StackStatus.from_dict(json.loads(status_file(state).read_text()))
        except FileNotFoundError:
            status = None
        if status is not None:
            for part in status.parts:
                if part.state == "ready" and part.name not in told:
                    told.add(part.name)
                    progress(f"{part.name} {part.version}: ready in {part.ready_after_s:.1f} s")
            if status.state == "ready":
                return status
        if code is not None:
            problem = status.problem if status is not None else None
            log = state / "log" / "stack.out"
            tail = log.read_text(errors="replace").splitlines()[-10:] if log.exists() else []
            raise StackError(problem or "\n".join(["The supervisor ended.", *tail]))
        time.sleep(_POLL_S)


def _is_supervisor(pid: int, state: Path) -> bool:
    """Say whether ``pid`` is still that supervisor (pids are used again after a while)."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(state) in process.cmdline()
    except psutil.Error:
        return False
