"""Bring the rest of the process into the stream: stdlib logging, warnings, uncaught exceptions.

:class:`Joined` puts its hooks in place and takes them out again; a hook that somebody set later is
left where it is.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ._stream import LEVELS, LogStream

# These speak of failed exports, which are counted and reported once; their repetition is noise,
# also on the console of a ComfyUI.
_OWN_LOGGERS = ("opentelemetry.exporter", "opentelemetry.sdk")
# Stays when we leave: a thread that still ends would else complain on stderr for want of a handler.
_NOBODY = logging.NullHandler()
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Handler(logging.Handler):
    """Turns each stdlib record into one record of the stream."""

    def __init__(self, stream: LogStream) -> None:
        super().__init__()
        self._stream = stream

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the handler's lock: the stream is thread-safe.
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message: object = record.getMessage()
        except Exception:  # noqa: BLE001 - a wrong format must not break the caller
            message = f"{record.msg!s} (its arguments do not fit)"
        extra = {key: value for key, value in record.__dict__.items() if key not in _PLAIN}
        error = record.exc_info[1] if record.exc_info else None
        self._stream.emit(
            _level(record.levelno),
            message,
            extra,
            error=error,
            time_ns=int(record.created * 1e9),
            logger=record.name,
        )


def _level(number: int) -> str:
    for name in ("critical", "error", "warning", "info"):
        if number >= LEVELS[name]:
            return name
    return "debug"


class Joined:
    """The hooks of one stream; ``leave`` restores what was there before."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream
        self._handler = _Handler(stream)
        root = logging.getLogger()
        self._old_level = root.level
        root.addHandler(self._handler)
        if root.level > stream.level or root.level == logging.NOTSET:
            root.setLevel(stream.level)
        self._set_level = root.level
        self._handler.setLevel(stream.level)
        self._propagated = {name: logging.getLogger(name).propagate for name in _OWN_LOGGERS}
        for name in _OWN_LOGGERS:
            logging.getLogger(name).addHandler(_NOBODY)
            logging.getLogger(name).propagate = False
        self._warnings_were_captured = logging._warnings_showwarning is not None  # type: ignore[attr-defined]
        logging.captureWarnings(True)
        self._old_hook = sys.excepthook
        self._old_thread_hook = threading.excepthook
        # Bound methods are made anew at each access; these are the ones to look for when leaving.
        self._hook = self._uncaught
        self._thread_hook = self._uncaught_in_thread
        sys.excepthook = self._hook
        threading.excepthook = self._thread_hook

    def add_filter(self, wanted: Callable[[logging.LogRecord], bool]) -> None:
        """Pass only stdlib records for which ``wanted`` is true."""
        self._handler.addFilter(wanted)

    def remove_filter(self, wanted: Callable[[logging.LogRecord], bool]) -> None:
        """Undo :meth:`add_filter`."""
        self._handler.removeFilter(wanted)

    def leave(self) -> None:
        """Take the hooks out."""
        root = logging.getLogger()
        root.removeHandler(self._handler)
        for name, propagated in self._propagated.items():
            logging.getLogger(name).propagate = propagated
        if root.level == self._set_level:
            root.setLevel(self._old_level)
        if not self._warnings_were_captured:
            logging.captureWarnings(False)
        if sys.excepthook is self._hook:
            sys.excepthook = self._old_hook
        if threading.excepthook is self._thread_hook:
            threading.excepthook = self._old_thread_hook

    def _uncaught(
        self, kind: type[BaseException], error: BaseException, stack: TracebackType | None
    ) -> None:
        if issubclass(kind, Exception):
            self._stream.emit("critical", "Uncaught exception", error=error)
        self._old_hook(kind, error, stack)

    def _uncaught_in_thread(self, args: Any) -> None:
        if args.exc_value is not None and issubclass(args.exc_type, Exception):
            name = args.thread.name if args.thread is not None else "?"
            self._stream.emit(
                "critical", f"Uncaught exception in thread {name}", error=args.exc_value
            )
        self._old_thread_hook(args)
