"""Where log lines go: a bounded queue in memory and a thread that writes it to a file or stream.

The caller only appends to the queue. A full disk, a dead mount or a pipe that nobody reads holds up
the thread, never the caller; lines wait in memory up to a bound, later ones are counted as lost.
They wait as bytes, because Python's garbage collection looks at every other object, on whichever
thread it starts, and thousands of records would make its pauses longer.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from typing import Protocol, TypeAlias

from . import _losses
from ._losses import Losses
from ._render import Prepared

QUEUE_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_RETRY_S = 1.0


class Target(Protocol):
    """Something that takes bytes: writes some of them, says how many, raises OSError."""

    def write(self, data: memoryview) -> int: ...

    def close(self) -> None: ...


Line: TypeAlias = bytes | Prepared


class Sink(Protocol):
    """Takes log lines without blocking and without raising."""

    def put(self, line: Line) -> None: ...

    def after_fork(self) -> None: ...

    def close(self, timeout_s: float) -> None: ...


class QueuedSink:
    """Write lines to a target from a background thread that starts with the first line."""

    def __init__(
        self, target: Target, losses: Losses, name: str, *, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self._target = target
        self._losses = losses
        self._name = name
        self._queue_bytes = queue_bytes
        self._reset()

    def _reset(self) -> None:
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._closed = False
        self._thread: threading.Thread | None = None
        # Re-entrant: a signal handler may log while its own thread holds it.
        self._lock = threading.RLock()
        # A raw lock is the cheapest thing to sleep on; it is held while there is nothing to do.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._asleep = False
        self._stop = threading.Event()

    def after_fork(self) -> None:
        """Leave the parent's lines to the parent; the thread does not exist in the child."""
        self._reset()

    def put(self, line: Line) -> None:
        """Queue one line, or count it as lost when the queue is full."""
        size = len(line) if isinstance(line, bytes) else line.size
        with self._lock:
            if self._closed or self._bytes + size > self._queue_bytes:
                self._losses.add(_losses.LOG_QUEUE_FULL, detail=self._name)
                return
            self._lines.append(line)
            self._bytes += size
            wake, self._asleep = self._asleep, False
            if self._thread is None:
                self._start()
        if wake:
            self._wake.release()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=f"telemetry-{self._name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No thread can start while the interpreter shuts down: close() writes what is left.
            return
        self._thread = thread

    def _run(self) -> None:
        while True:
            lines, size = self._take()
            if lines:
                self._write(
                    b"".join(line if isinstance(line, bytes) else line.line() for line in lines)
                )
                with self._lock:
                    self._bytes -= size
            elif self._stop.is_set():
                return
            else:
                self._wake.acquire()

    def _take(self) -> tuple[list[Line], int]:
        with self._lock:
            taken: list[Line] = []
            size = 0
            while self._lines and size < _CHUNK_BYTES:
                line = self._lines.popleft()
                taken.append(line)
                size += len(line) if isinstance(line, bytes) else line.size
            self._asleep = not taken and not self._stop.is_set()
            return taken, size

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        made = 0
        while view:
            ending = self._stop.is_set()
            try:
                view = view[self._target.write(view) :]
            except (OSError, ValueError) as error:
                # Asked to end before this try and it failed all the same: what is left is lost.
                lost = bytes(view).count(b"\n") if ending else 0
                self._losses.add(_losses.LOG_WRITE_FAILED, lost, f"{self._name}: {error}")
                if ending:
                    return
                made = self._make_lines(made)
                self._stop.wait(_RETRY_S)

    def _make_lines(self, start: int) -> int:
        """Make bytes of what waits from ``start`` on and return the end; writer's thread only."""
        end = len(self._lines)
        for index in range(start, end):
            line = self._lines[index]
            if not isinstance(line, bytes):
                made = line.line()
                with self._lock:
                    self._lines[index] = made
                    self._bytes += len(made) - line.size
        return end

    def close(self, timeout_s: float) -> None:
        """Write what is queued, waiting at most ``timeout_s`` seconds, and end the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stop.set()
            wake, self._asleep = self._asleep, False
            thread = self._thread
        if wake:
            self._wake.release()
        if thread is not None:
            thread.join(timeout_s)
        elif self._lines:
            self._run()
        if thread is None or not thread.is_alive():
            # A thread stuck in a write still uses the target; the process end closes it then.
            self._target.close()


class StreamTarget:
    """The process's standard output, by its own descriptor.

    The descriptor is duplicated because ``sys.stdout`` may be replaced (ComfyUI does) or closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.dup(descriptor)

    def write(self, data: memoryview) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class MemorySink:
    """Keep lines in a list; for tests."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def put(self, line: Line) -> None:
        self.lines.append(line if isinstance(line, bytes) else line.line())

    def after_fork(self) -> None:
        self.lines.clear()

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing waits here
        return


def stdout_descriptor() -> int | None:
    """Return the descriptor of the real standard output, None if the process has none."""
    try:
        return sys.__stdout__.fileno() if sys.__stdout__ is not None else None
    except (OSError, ValueError):
        return None


def say_on_stderr(text: str) -> None:
    """Write one line to standard error if there is one; called from background threads only."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.write(2, f"{stamp} comfyui_telemetry: {text}\n".encode("utf-8", "backslashreplace"))
