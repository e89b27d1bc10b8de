"""A log file with a size cap and a number of backups, safe for several writing processes.

A full file is renamed to ``NAME.<UTC time>`` (so ``*.jsonl*`` finds it too) and the oldest beyond
the number kept are removed. A file that was removed or renamed from outside is opened anew.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one writing process, no advisory lock
    fcntl = None  # type: ignore[assignment]

MODE = 0o640
_CHECK_S = 1.0


class RotatingFile:
    """The :class:`~._sinks.Target` behind ``log_file``.

    Errors: ``OSError`` from the system, also when the path is not a regular file.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor: int | None = None
        self._size = 0
        self._inside_line = False
        self._checked = 0.0

    def write(self, data: memoryview) -> int:
        """Append ``data``, or a first part of it, and return how many bytes were taken."""
        descriptor = self._ready(len(data))
        written = os.write(descriptor, data)
        self._size += written
        self._inside_line = written > 0 and data[written - 1] != ord("\n")
        return written

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _ready(self, wanted: int) -> int:
        # The rest of a line that was cut by a full disk belongs to the same file.
        if not self._inside_line:
            if self._moved_away():
                self.close()
            if self._descriptor is not None and 0 < self._size > self._max_bytes - wanted:
                self._rotate(self._descriptor)
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None  # noqa: S101 - for the type checker
        return self._descriptor

    def _moved_away(self) -> bool:
        now = time.monotonic()
        if self._descriptor is None or now - self._checked < _CHECK_S:
            return False
        self._checked = now
        return not self._is_current(self._descriptor)

    def _is_current(self, descriptor: int) -> bool:
        mine = os.fstat(descriptor)
        # Other processes append to the same file.
        self._size = mine.st_size
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(mine, there)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        # A pipe would block in open() until somebody reads it.
        flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._path, flags, MODE)
        try:
            self._adopt(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._checked = time.monotonic()

    def _adopt(self, descriptor: int) -> None:
        """Check a file that was just opened and make it ready to append to."""
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"log_file {self._path.name} is not a regular file")
        if hasattr(os, "fchmod") and stat.S_IMODE(found.st_mode) != MODE:
            # The umask may have taken the group's right to read, which the agent needs.
            with contextlib.suppress(PermissionError):
                os.fchmod(descriptor, MODE)
        self._size = found.st_size
        if self._size:
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) != b"\n":
                # An earlier process died inside a line: keep its half away from ours.
                self._size += os.write(descriptor, b"\n")

    def _rotate(self, descriptor: int) -> None:
        with _locked(descriptor):
            # Another process may have rotated while this one waited for the lock.
            if self._is_current(descriptor) and self._size:
                if fcntl is None:
                    # Windows does not rename an open file.
                    self.close()
                stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
                self._path.rename(
                    self._path.with_name(f"{self._path.name}.{stamp}.{time.time_ns() % 10**9:09d}Z")
                )
        self.close()
        self._prune()

    def _prune(self) -> None:
        backups = sorted(self._path.parent.glob(f"{self._path.name}.*Z"))
        for old in backups[: max(0, len(backups) - self._backups)]:
            with contextlib.suppress(FileNotFoundError):
                old.unlink()


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
