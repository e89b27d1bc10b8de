"""The one stream of log records: every record of the process becomes one line of JSON here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

import orjson
from opentelemetry import trace
from opentelemetry.trace import SpanContext

from . import _losses, semconv
from ._errors import describe
from ._losses import Losses
from ._sinks import Sink
from ._uid import record_uid
from ._values import (
    ATTRIBUTE_CHARS,
    ATTRIBUTES_PER_RECORD,
    KEY_CHARS,
    MESSAGE_CHARS,
    STACK_TRACE_CHARS,
    attribute,
    clean,
    cut,
    scrub,
    scrub_text,
)

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

# Attributes of the prompt and node that run in this context; every record of theirs carries them.
SCOPE: ContextVar[Mapping[str, str] | None] = ContextVar("comfyui_telemetry_scope", default=None)

# Only this module writes these; an attribute of such a name is left out. ECS and structlog both use
# "event", so a string of that name at the top would break either.
_RESERVED = frozenset(
    {
        "@timestamp",
        "event",
        "log.level",
        "message",
        "span_id",
        "trace_id",
        semconv.EVENT_NAME,
        semconv.LOG_RECORD_UID,
        semconv.SERVICE_INSTANCE_ID,
        semconv.SERVICE_NAME,
        semconv.SERVICE_VERSION,
    }
)
# A route looks like a path and is none.
_VERBATIM = frozenset({semconv.HTTP_ROUTE})
_LIMITS = {semconv.ERROR_STACK_TRACE: STACK_TRACE_CHARS + ATTRIBUTE_CHARS}
_OPTIONS = orjson.OPT_APPEND_NEWLINE


class LogStream:
    """Render records and hand them to the sinks. Thread-safe; never raises, never blocks."""

    def __init__(
        self, resource: Mapping[str, str], sinks: Sequence[Sink], losses: Losses, level: str
    ) -> None:
        self._resource = dict(resource)
        self._sinks = tuple(sinks)
        self._second = (0, "")
        self.losses = losses
        self.level = LEVELS[level]

    def after_fork(self, resource: Mapping[str, str]) -> None:
        """Take the child's resource and give up the parent's queues."""
        self._resource = dict(resource)
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
        span: SpanContext | None = None,
        scope: Mapping[str, str] | None = None,
        error: BaseException | None = None,
        time_ns: int | None = None,
        logger: str | None = None,
        redacted: bool = False,
    ) -> None:
        """Write one record.

        ``span`` and ``scope`` default to those of the calling context. ``redacted`` says that the
        message was made of redacted parts. ``time_ns`` is the time of the event in nanoseconds
        since the epoch, by default now.
        """
        try:
            line = self._render(
                level,
                message,
                attributes,
                event_name,
                span,
                scope,
                error,
                time_ns,
                logger,
                redacted,
            )
        except Exception as failure:  # noqa: BLE001 - telemetry never breaks the work
            self.losses.add(_losses.INTERNAL_ERROR, detail=f"log record: {failure!r:.200}")
            return
        for sink in self._sinks:
            sink.put(line)

    def _render(
        self,
        level: str,
        message: object,
        attributes: Mapping[str, Any] | None,
        event_name: str | None,
        span: SpanContext | None,
        scope: Mapping[str, str] | None,
        error: BaseException | None,
        time_ns: int | None,
        logger: str | None,
        redacted: bool,
    ) -> bytes:
        now = time.time_ns() if time_ns is None else time_ns
        record: dict[str, Any] = {
            "@timestamp": self._timestamp(now),
            "log.level": level,
            "message": _message(message, redacted),
        }
        if event_name is not None:
            record[semconv.EVENT_NAME] = event_name
        if span is None:
            span = trace.get_current_span().get_span_context()
        if span.trace_id:
            record["trace_id"] = format(span.trace_id, "032x")
            record["span_id"] = format(span.span_id, "016x")
        record.update(self._resource)
        record[semconv.LOG_RECORD_UID] = record_uid(now)
        if logger is not None:
            record[semconv.SCOPE_NAME] = logger
        if scope is None:
            scope = SCOPE.get()
        if scope is not None:
            record.update(scope)
        if error is not None:
            record.update(describe(error))
        if attributes:
            _add_attributes(record, attributes)
        try:
            return orjson.dumps(record, option=_OPTIONS)
        except TypeError:
            # Lone surrogates or integers of more than 64 bits.
            safe = {scrub_text(key): scrub(value) for key, value in record.items()}
            return orjson.dumps(safe, option=_OPTIONS)

    def _timestamp(self, now: int) -> str:
        second, rest = divmod(now, 1_000_000_000)
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{rest // 1000:06d}Z"


def _message(message: object, redacted: bool) -> str:
    if not isinstance(message, str):
        shown = attribute(message)
        return shown if isinstance(shown, str) else str(shown)
    return cut(message, MESSAGE_CHARS) if redacted else clean(message, MESSAGE_CHARS)


def _add_attributes(record: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    if len(attributes) > ATTRIBUTES_PER_RECORD:
        record[semconv.TELEMETRY_LEFT_OUT] = len(attributes) - ATTRIBUTES_PER_RECORD
        attributes = dict(list(attributes.items())[:ATTRIBUTES_PER_RECORD])
    for key, value in attributes.items():
        if key in _RESERVED:
            continue
        kind = type(value)
        shown: object
        if kind is int or kind is bool:
            shown = value
        elif kind is not str:
            shown = attribute(value)
            if shown is None:
                continue
        elif key in _VERBATIM:
            shown = cut(value, MESSAGE_CHARS)
        else:
            shown = clean(value, _LIMITS.get(key, ATTRIBUTE_CHARS))
        record[key if len(key) <= KEY_CHARS else clean(key, KEY_CHARS)] = shown
