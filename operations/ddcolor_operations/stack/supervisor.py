"""Start the parts in order, watch them, start the dead ones again, and stop them all cleanly.

The supervisor is a process of its own. All its children are started from its main thread with the
kernel's parent-death signal (see :class:`LaunchSpec`), so none outlives it, whatever ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from comfyui_telemetry import Telemetry, semconv
from comfyui_telemetry.catalogue import CATALOGUE

from .part import Part, PartStatus, StackStatus, State, part_log

_POLL_S = 0.25
_HEALTH_PERIOD_S = 5.0
_BACK_OFF_FIRST_S = 1.0
_BACK_OFF_LAST_S = 30.0
_STABLE_AFTER_S = 60.0
_OUTPUT_CAP = 20_000_000


class Supervisor:
    """Runs a set of parts until :meth:`request_stop`."""

    def __init__(
        self, parts: Sequence[Part], *, log_dir: Path, status_file: Path, telemetry: Telemetry
    ) -> None:
        self._log_dir = log_dir
        self._status_file = status_file
        self._log = telemetry.logger("ddcolor_operations.stack")
        self._stop = asyncio.Event()
        self._runners = [
            PartRunner(part, log_dir, self._stop, self._log_exit, self._publish) for part in parts
        ]
        self.status = StackStatus(
            supervisor_pid=os.getpid(),
            state="starting",
            parts=[runner.status for runner in self._runners],
            started_at=time.time(),
        )

    def request_stop(self) -> None:
        """Ask for a clean stop; the second and later calls change nothing."""
        self._stop.set()

    async def run(self) -> None:
        """Run until asked to stop, or until a part fails to get ready at its first start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.request_stop)
        ready = {runner.part.name: runner.first_ready for runner in self._runners}
        tasks = [
            asyncio.create_task(runner.run([ready[name] for name in runner.part.needs]))
            for runner in self._runners
        ]
        self._publish()
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            failed = next((task for task in tasks if task.done() and task.exception()), None)
            if failed is not None:
                self.status.problem = str(failed.exception())
                self._log.error("The stack could not be started", reason=self.status.problem)
        finally:
            self._stop.set()
            self.status.state = "stopping"
            self._publish()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)
            # What feeds the others goes first: a photo service that is gone writes no more logs
            # while the agent that reads them still runs.
            for runner in reversed(self._runners):
                await runner.stop()
                name = runner.part.name
                self._log.info(
                    f"Part {name} was stopped",
                    event_name=semconv.EVENT_PART_STOPPED,
                    **{semconv.PART_NAME: name},
                )
                self._publish()
            self.status.state = "failed" if self.status.problem else "stopped"
            self._publish()

    def _log_exit(self, status: PartStatus, back_off_s: float) -> None:
        kind = CATALOGUE["service_down"]
        self._log.error(
            f"{kind.keyword}: part {status.name} ended ({status.last_exit}),"
            f" restart {status.restarts} in {back_off_s:.0f} s",
            event_name=semconv.EVENT_PART_EXITED,
            **{
                semconv.PART_NAME: status.name,
                semconv.PART_EXIT: status.last_exit,
                semconv.PART_RESTARTS: status.restarts,
                semconv.ERROR_KIND: kind.name,
                semconv.ERROR_LEVEL: int(kind.level),
            },
        )

    def _publish(self) -> None:
        """Write the status file in one step, so that a reader never sees half of it."""
        parts = self.status.parts
        all_ready = all(part.state == "ready" and part.healthy for part in parts)
        if self.status.state in {"starting", "ready", "degraded"}:
            if all_ready:
                if self.status.ready_after_s is None:
                    self.status.ready_after_s = time.time() - self.status.started_at
                self.status.state = "ready"
            elif self.status.ready_after_s is not None:
                self.status.state = "degraded"
        scratch = self._status_file.with_suffix(".tmp")
        scratch.write_text(json.dumps(self.status.to_dict(), indent=2))
        scratch.replace(self._status_file)


class PartRunner:
    """Keeps one part alive."""

    def __init__(
        self,
        part: Part,
        log_dir: Path,
        stop: asyncio.Event,
        log_exit: Callable[[PartStatus, float], None],
        publish: Callable[[], None],
    ) -> None:
        self.part = part
        self.first_ready = asyncio.Event()
        self.status = PartStatus(
            part.name, part.version, part.port, str(part_log(log_dir, part.name))
        )
        self._stop = stop
        self._log_exit = log_exit
        self._publish = publish
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, needs: Sequence[asyncio.Event]) -> None:
        """Start once the needed parts are ready, then restart whenever the process ends.

        Raises StartError if the first start does not become ready in time.
        """
        for event in needs:
            await event.wait()
        back_off_s = _BACK_OFF_FIRST_S
        while True:
            process = await self._start()
            exited = asyncio.create_task(process.wait())
            await self._become_ready(process, exited)
            await self._watch(exited)
            if time.time() - (self.status.started_at or 0) > _STABLE_AFTER_S:
                back_off_s = _BACK_OFF_FIRST_S
            _kill_group(process)
            self._set("restarting", healthy=False, pid=None)
            self.status.last_exit = _describe_exit(process.returncode)
            self.status.restarts += 1
            self._log_exit(self.status, back_off_s)
            await asyncio.sleep(back_off_s)
            back_off_s = min(back_off_s * 2, _BACK_OFF_LAST_S)

    async def stop(self) -> None:
        """End the process: SIGTERM, and SIGKILL to its group when it takes too long."""
        process = self._process
        if process is not None and process.returncode is None:
            self._set("stopping", healthy=False)
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), self.part.stop_timeout_s)
            except TimeoutError:
                _kill_group(process)
                await process.wait()
        if process is not None:
            _kill_group(process)
        self._set("stopped", healthy=False, pid=None)

    async def _start(self) -> asyncio.subprocess.Process:
        launch = self.part.launch
        log = Path(self.status.log)
        if log.exists() and log.stat().st_size > _OUTPUT_CAP:
            log.replace(log.with_suffix(".out.1"))
        with log.open("ab", buffering=0) as output:
            log.chmod(0o640)
            process = await asyncio.create_subprocess_exec(
                *launch.command(),
                env=launch.environment(),
                cwd=launch.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        self._process = process
        self.status.started_at = time.time()
        self._set("starting", pid=process.pid)
        return process

    async def _become_ready(
        self, process: asyncio.subprocess.Process, exited: asyncio.Task[int]
    ) -> None:
        """Return when the part is ready, or has ended after it had been ready before."""
        started = time.monotonic()
        first = not self.first_ready.is_set()
        while not await asyncio.to_thread(self.part.ready):
            late = time.monotonic() - started > self.part.start_timeout_s
            if first and (exited.done() or late):
                what = (
                    f"ended at once ({_describe_exit(process.returncode)})"
                    if exited.done()
                    else f"was not ready after {self.part.start_timeout_s:.0f} s"
                )
                raise StartError(self.part.name, what, Path(self.status.log))
            if exited.done():
                return
            if late:
                # A restarted part that hangs is ended, so that the loop tries it again.
                _kill_group(process)
            await asyncio.wait([exited], timeout=_POLL_S)
        if exited.done():
            return
        if first and self.part.after_ready is not None:
            await asyncio.to_thread(self.part.after_ready)
        self.status.ready_after_s = time.monotonic() - started
        self._set("ready", healthy=True)
        self.first_ready.set()

    async def _watch(self, exited: asyncio.Task[int]) -> None:
        """Return when the process has ended; meanwhile keep its health up to date."""
        while not exited.done():
            await asyncio.wait([exited], timeout=_HEALTH_PERIOD_S)
            if exited.done():
                return
            healthy = await asyncio.to_thread(self.part.ready)
            if healthy != self.status.healthy:
                self.status.healthy = healthy
                self._publish()

    def _set(self, state: State, **changes: object) -> None:
        self.status.state = state
        for name, value in changes.items():
            setattr(self.status, name, value)
        self._publish()


class StartError(Exception):
    """A part did not get ready; the message carries the end of what it printed."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        text = "\n".join(["", *("    " + line[:300] for line in tail)]) if tail else " (nothing)"
        super().__init__(f"{name} {what}. The end of {log}:{text}")


def _kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of the part: it leads a session of its own (Elasticsearch has a child)."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _describe_exit(returncode: int | None) -> str:
    if returncode is None:
        return "still running"
    return f"signal {-returncode}" if returncode < 0 else f"code {returncode}"
