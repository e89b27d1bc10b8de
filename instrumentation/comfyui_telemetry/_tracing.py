"""Spans: a bounded queue on the worker's side, redaction and export on a background thread.

The SDK's batch processor gives up a batch after its exporter's first failure; this one keeps it and
tries again, so that spans survive a restart of the agent, and counts what the bound drops.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context, attach, detach, set_value
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import AttributeValue

from . import _losses
from ._losses import Losses
from ._render import VERBATIM
from ._values import STACK_TRACE_CHARS, clean, scrub_text

_QUEUE_SPANS = 8_192
_BATCH_SPANS = 512
_DELAY_S = 1.0
_LONGEST_RETRY_S = 10.0
# Instrumentations of HTTP clients read this key and leave the exporter's own requests alone.
_SUPPRESS = "suppress_instrumentation"


class SpanQueue(SpanProcessor):
    """Queue ended spans and export them from one thread that starts with the first span."""

    def __init__(
        self,
        exporters: Sequence[SpanExporter],
        losses: Losses,
        *,
        queue_spans: int = _QUEUE_SPANS,
        delay_s: float = _DELAY_S,
    ) -> None:
        self._exporters = tuple(exporters)
        self._losses = losses
        self._queue_spans = queue_spans
        self._delay_s = delay_s
        self._reset()

    def _reset(self) -> None:
        self._queue: deque[ReadableSpan] = deque()
        self._in_flight = 0
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Leave the parent's spans to the parent; the thread does not exist in the child."""
        self._reset()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: only ended spans are sent."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span, or count it as lost when the queue is full."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._lock:
            if self._closed or len(self._queue) + self._in_flight >= self._queue_spans:
                self._losses.add(_losses.SPAN_QUEUE_FULL)
                return
            self._queue.append(span)
            full = len(self._queue) == _BATCH_SPANS
            if self._thread is None:
                self._start()
        if full:
            self._wake.set()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="telemetry-spans", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is shutting down.
            return
        self._thread = thread

    def _run(self) -> None:
        token = attach(set_value(_SUPPRESS, True))
        try:
            while True:
                self._wake.wait(self._delay_s)
                self._wake.clear()
                while batch := self._take():
                    self._send(batch)
                if self._closed:
                    return
        finally:
            detach(token)

    def _take(self) -> list[ReadableSpan]:
        with self._lock:
            count = min(_BATCH_SPANS, len(self._queue))
            batch = [self._queue.popleft() for _ in range(count)]
            self._in_flight = count
            if not count:
                self._idle.notify_all()
            return batch

    def _send(self, batch: list[ReadableSpan]) -> None:
        clean_batch = [redacted(span) for span in batch]
        for exporter in self._exporters:
            pause = self._delay_s
            lean_until = 0
            while not self._export(exporter, clean_batch):
                self._losses.add(_losses.SPAN_EXPORT_FAILED, 0, type(exporter).__name__)
                if self._closed:
                    self._losses.add(_losses.SPAN_EXPORT_FAILED, len(batch))
                    break
                lean_until = self._make_lean(lean_until)
                self._wake.wait(pause)
                self._wake.clear()
                pause = min(_LONGEST_RETRY_S, 2 * pause)

    def _make_lean(self, start: int) -> int:
        """Make what waits from ``start`` on lean and return the end; exporting thread only."""
        end = len(self._queue)
        for index in range(start, end):
            self._queue[index] = lean(self._queue[index])
        return end

    @staticmethod
    def _export(exporter: SpanExporter, batch: list[ReadableSpan]) -> bool:
        try:
            return exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - foreign exporter; counted by the caller
            return False

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued; False if that took longer than the time given."""
        deadline = time.monotonic() + timeout_millis / 1000
        with self._idle:
            while self._queue or self._in_flight:
                self._wake.set()
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._idle.wait(min(0.05, left))
        return True

    def close(self, timeout_s: float) -> None:
        """Export what is queued within ``timeout_s`` seconds and end the thread."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            # Half of the time for a try, then the exporters' own retries are cut short.
            thread.join(timeout_s / 2)
        for exporter in self._exporters:
            exporter.shutdown()
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._losses.add(
                    _losses.SPAN_EXPORT_FAILED, len(self._queue) + self._in_flight, "shutdown"
                )

    def shutdown(self) -> None:
        """Close within five seconds; the provider calls this."""
        self.close(5.0)


def tracer_provider(resource: Resource, processor: SpanProcessor | None) -> TracerProvider:
    """Return a provider with this library's limits; OTEL_* limits and sampler are honoured.

    Without a processor spans get ids, which the log lines carry, and go nowhere.
    """
    limits = SpanLimits()
    if limits.max_span_attribute_length is None:
        limits = SpanLimits(max_span_attribute_length=STACK_TRACE_CHARS)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False, span_limits=limits)
    if processor is not None:
        provider.add_span_processor(processor)
    return provider


def redacted(span: ReadableSpan) -> ReadableSpan:
    """Return ``span`` with its texts redacted and capped, itself if nothing had to change."""
    attributes = _clean_attributes(span.attributes)
    events = [_clean_event(event) for event in span.events]
    status = _clean_status(span.status)
    if attributes is None and status is span.status and all(new is None for new in events):
        return span
    return _copy(
        span,
        span.attributes if attributes is None else attributes,
        [new or old for new, old in zip(events, span.events, strict=True)],
        status,
    )


def lean(span: ReadableSpan) -> ReadableSpan:
    """Return ``span`` without the SDK's locks and lists, which nothing needs once it has ended.

    Python's garbage collection looks at each of them, on whichever thread it starts, as long as the
    span waits.
    """
    return _copy(span, dict(span.attributes or {}), span.events, span.status)


class _Copy(ReadableSpan):
    """A span that says of its original how much was left out; the SDK's own lists know that."""

    def __init__(self, dropped: tuple[int, int, int], **parts: Any) -> None:
        super().__init__(**parts)
        self._dropped = dropped

    @property
    def dropped_attributes(self) -> int:
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        return self._dropped[2]


def _copy(
    span: ReadableSpan,
    attributes: Mapping[str, AttributeValue] | None,
    events: Sequence[Event],
    status: Status,
) -> ReadableSpan:
    return _Copy(
        (span.dropped_attributes, span.dropped_events, span.dropped_links),
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=events,
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _clean_attributes(
    attributes: Mapping[str, AttributeValue] | None,
) -> dict[str, AttributeValue] | None:
    changed: dict[str, AttributeValue] = {}
    for key, value in (attributes or {}).items():
        if key in VERBATIM:
            continue
        if isinstance(value, str):
            limit = STACK_TRACE_CHARS if key.endswith("stacktrace") else 1024
            new = scrub_text(clean(value, limit))
            if new != value:
                changed[key] = new
        elif isinstance(value, Sequence) and value and isinstance(value[0], str):
            texts = tuple(scrub_text(clean(str(item))) for item in value)
            if texts != tuple(value):
                changed[key] = texts
    return {**(attributes or {}), **changed} if changed else None


def _clean_event(event: Event) -> Event | None:
    attributes = _clean_attributes(event.attributes)
    if attributes is None:
        return None
    kept = BoundedAttributes(attributes=attributes)
    kept.dropped = event.dropped_attributes
    return Event(event.name, kept, event.timestamp)


def _clean_status(status: Status) -> Status:
    if not status.description:
        return status
    description = scrub_text(clean(status.description))
    if description == status.description:
        return status
    return Status(status.status_code, description)
