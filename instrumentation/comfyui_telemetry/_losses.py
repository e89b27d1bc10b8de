"""What telemetry lost or could not do: counted here, said by the watch thread.

Counting takes a lock for a moment and does nothing else, so that it may be called from the worker
thread; saying it (stderr, a log record) is for the background.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

LOG_QUEUE_FULL = "log_queue_full"
LOG_WRITE_FAILED = "log_write_failed"
SPAN_QUEUE_FULL = "span_queue_full"
SPAN_EXPORT_FAILED = "span_export_failed"
METRIC_EXPORT_FAILED = "metric_export_failed"
EXPORTER_MISSING = "exporter_missing"
SETTING_IGNORED = "setting_ignored"
GPU_UNREADABLE = "gpu_unreadable"
INTERNAL_ERROR = "internal_error"

TEXTS: dict[str, str] = {
    LOG_QUEUE_FULL: "Log lines were dropped because the writer's queue is full",
    LOG_WRITE_FAILED: "A log target cannot be written; lines are kept in memory and retried",
    SPAN_QUEUE_FULL: "Spans were dropped because the export queue is full",
    SPAN_EXPORT_FAILED: "Spans cannot be exported; they are kept in memory and retried",
    METRIC_EXPORT_FAILED: "Metrics cannot be exported; they are kept in memory and retried",
    EXPORTER_MISSING: "An exporter is not installed, so its data is not sent",
    SETTING_IGNORED: "A telemetry setting was not understood and its default is used",
    GPU_UNREADABLE: "A GPU does not tell its load and memory; its figures are left out",
    INTERNAL_ERROR: "Telemetry failed inside and left something out",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """News about one reason since the last report; ``dropped`` may be 0 (trouble, no loss yet)."""

    reason: str
    dropped: int
    detail: str
    first: bool


class Losses:
    """Thread-safe counts by reason."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}
        self._unreported: dict[str, tuple[int, str]] = {}
        self._said: set[str] = set()
        self._lock = threading.RLock()

    def after_fork(self) -> None:
        """Forget the parent's news and a lock that another thread may have held."""
        self._lock = threading.RLock()
        self._unreported.clear()

    def add(self, reason: str, dropped: int = 1, detail: str = "") -> None:
        """Count ``dropped`` items lost for ``reason``; 0 notes trouble that lost nothing yet."""
        with self._lock:
            self._totals[reason] = self._totals.get(reason, 0) + dropped
            if dropped or reason not in self._said:
                before, old_detail = self._unreported.get(reason, (0, ""))
                self._unreported[reason] = (before + dropped, detail or old_detail)

    def totals(self) -> dict[str, int]:
        """Return items lost by reason since the start."""
        with self._lock:
            return dict(self._totals)

    def take(self, *, new_only: bool = False) -> list[Loss]:
        """Return and forget what was not yet reported, or of that only reasons never reported."""
        with self._lock:
            news = [
                Loss(reason, dropped, detail, reason not in self._said)
                for reason, (dropped, detail) in self._unreported.items()
                if not (new_only and reason in self._said)
            ]
            for loss in news:
                self._said.add(loss.reason)
                del self._unreported[loss.reason]
            return news


class HasLosses(Protocol):
    """An object whose guarded methods count what goes wrong inside them."""

    @property
    def losses(self) -> Losses: ...


P = ParamSpec("P")
S = TypeVar("S", bound=HasLosses)


def guarded(method: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Make a method of a telemetry object safe to call from the work it watches.

    The one place where an error of telemetry itself ends: it is counted, reported once by the
    watch thread, and never reaches the caller.
    """

    @wraps(method)
    def guard(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the work
            self.losses.add(INTERNAL_ERROR, detail=f"{method.__qualname__}: {error!r:.200}")

    return guard
