"""The one stream of log records: every record of the process becomes one line of JSON here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import SpanContext

from . import _losses, semconv
from ._errors import describe
from ._losses import Losses
from ._render import Prepared, Renderer, add_attributes, dumps, shown_message
from ._sinks import Sink
from ._uid import record_uid

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

# Attributes of the prompt and node that run in this context; every record of theirs carries them.
SCOPE: ContextVar[Mapping[str, str] | None] = ContextVar("comfyui_telemetry_scope", default=None)


class LogStream:
    """Render records and hand them to the sinks. Thread-safe; never raises, never blocks."""

    def __init__(
        self, resource: Mapping[str, str], sinks: Sequence[Sink], losses: Losses, level: str
    ) -> None:
        self._renderer = Renderer(resource)
        self._sinks = tuple(sinks)
        self.losses = losses
        self.level = LEVELS[level]

    def after_fork(self, resource: Mapping[str, str]) -> None:
        """Take the child's resource and give up the parent's queues."""
        self._renderer = Renderer(resource)
        for sink in self._sinks:
            sink.after_fork()

    def close(self, timeout_s: float) -> None:
        """Write what is queued within ``timeout_s`` seconds for all sinks together."""
        deadline = time.monotonic() + timeout_s
        for sink in self._sinks:
            sink.close(max(0.0, deadline - time.monotonic()))

    def emit(
        self,
        level: str,
        message: object,
        attributes: Mapping[str, Any] | None = None,
        *,
        event_name: str | None = None,
        error: BaseException | None = None,
        time_ns: int | None = None,
        logger: str | None = None,
    ) -> None:
        """Write a record of the calling context; anything may be logged.

        ``time_ns`` is the time of the event in nanoseconds since the epoch, by default now.
        """
        if LEVELS[level] < self.level:
            return
        try:
            now = time.time_ns() if time_ns is None else time_ns
            record = self._renderer.head(
                now,
                level,
                shown_message(message),
                event_name,
                trace.get_current_span().get_span_context(),
                record_uid(now),
            )
            if logger is not None:
                record[semconv.SCOPE_NAME] = logger
            scope = SCOPE.get()
            if scope is not None:
                record.update(scope)
            if error is not None:
                record.update(describe(error))
            if attributes:
                add_attributes(record, attributes)
            line = dumps(record)
        except Exception as failure:  # noqa: BLE001 - telemetry never breaks the work
            self.losses.add(_losses.INTERNAL_ERROR, detail=f"log record: {failure!r:.200}")
            return
        for sink in self._sinks:
            sink.put(line)

    def emit_prepared(
        self,
        level: str,
        message: str,
        attributes: Mapping[str, Any],
        *,
        event_name: str,
        span: SpanContext,
        scope: Mapping[str, str],
        time_ns: int,
    ) -> None:
        """Write a record of plain, redacted parts; its line is made by the writer.

        ``scope`` and ``attributes`` must not change afterwards.
        """
        if LEVELS[level] < self.level:
            return
        # The id is drawn here, so that ids have the order of events and not of writing.
        head = (time_ns, level, message, event_name, span, record_uid(time_ns))
        record = Prepared(self._renderer, self.losses, head, scope, attributes)
        for sink in self._sinks:
            sink.put(record)
