"""Bring what faulthandler wrote at a crash (SIGSEGV, SIGABRT...) into the stream.

A dying process cannot write JSON, so faulthandler writes a file beside the log; the next start
reads it, says it as one record and empties it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
from pathlib import Path

from . import _losses, semconv
from ._losses import Losses
from ._stream import LogStream
from ._values import STACK_TRACE_CHARS


class CrashFile:
    """The file of one service; not used if faulthandler is in somebody else's hands already."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._enabled = False

    def open(self, stream: LogStream, losses: Losses) -> None:
        """Say what the last crash left and make ready for the next."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        except OSError as error:
            losses.add(_losses.LOG_WRITE_FAILED, 0, f"{self._path.name}: {error}")
            return
        self._descriptor = descriptor
        left = os.pread(descriptor, STACK_TRACE_CHARS, 0).decode("utf-8", "replace")
        if left.strip():
            os.ftruncate(descriptor, 0)
            stream.emit(
                "critical",
                "The process before this one crashed: " + left.splitlines()[0],
                {semconv.ERROR_STACK_TRACE: left},
                event_name=semconv.EVENT_SERVICE_CRASHED,
            )
        if faulthandler.is_enabled():
            self.close()
        else:
            faulthandler.enable(descriptor)
            self._enabled = True

    def close(self) -> None:
        """Give faulthandler back and close the file."""
        if self._descriptor is None:
            return
        if self._enabled:
            faulthandler.disable()
            self._enabled = False
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = None
