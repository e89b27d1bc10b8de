"""The record of one running node: its span, its log records, its measurement."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from . import semconv
from ._classify import classify, is_interrupt
from ._device import DeviceTime, mark
from ._errors import describe
from ._kit import Kit, kind_of
from ._losses import Losses, guarded
from ._stream import SCOPE
from ._values import JsonValue, attribute
from .catalogue import CATALOGUE

if TYPE_CHECKING:
    from ._prompt import PromptRecord

_REASON_CHARS = 300
_SLOW = CATALOGUE["inference_timeout"]


class NodeRecord:
    """A node from start to end; use it as a context manager around the node's work.

    Its span is current inside. An exception that leaves the block marks the node failed, or
    interrupted if a person stopped it, and passes through unchanged.
    """

    __slots__ = (
        "_attributes",
        "_device_start",
        "_ended",
        "_given_up",
        "_given_up_why",
        "_interrupted",
        "_is_cached",
        "_kit",
        "_paused_at",
        "_prompt",
        "_scope",
        "_scope_token",
        "_span",
        "_span_context",
        "_token",
        "class_type",
        "context",
        "losses",
        "next_beat",
        "node_id",
        "parent_node_id",
        "slow_at",
        "slow_said",
        "started",
    )

    def __init__(
        self,
        kit: Kit,
        prompt: PromptRecord,
        node_id: str,
        class_type: str,
        parent_node_id: str | None,
    ) -> None:
        self._kit = kit
        self._prompt = prompt
        self.losses: Losses = kit.losses
        self.node_id = node_id
        self.class_type = class_type
        self.parent_node_id = parent_node_id
        self._scope = {
            semconv.PROMPT_ID: prompt.prompt_id,
            semconv.NODE_ID: node_id,
            semconv.NODE_CLASS_TYPE: class_type,
        }
        self._attributes: dict[str, Any] = {}
        self._interrupted = False
        self._is_cached = False
        self._given_up = self._given_up_why = ""
        self._paused_at: float | None = None
        self._device_start: Any = None
        self._ended = False
        self._span: trace.Span = trace.INVALID_SPAN
        self._span_context = trace.INVALID_SPAN_CONTEXT
        self.context: otel_context.Context | None = None
        self._token: Any = None
        self._scope_token: Any = None
        self.slow_said = False
        self.started = time.monotonic()
        self.next_beat = self.started + kit.heartbeat_s
        self.slow_at = self.started + kit.time_limit_s

    def __enter__(self) -> NodeRecord:
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        self.end(error)

    def begin(self) -> None:
        """Start the node; its span is current from here on. Where no block can be used."""
        self._begin()

    def end(self, error: BaseException | None = None) -> None:
        """End the node in the context that :meth:`begin` or :meth:`resume` was called in."""
        self._end(error)
        self._leave()

    @guarded
    def suspend(self, *, waits: bool) -> None:
        """Let other nodes run before this one goes on; its span is no longer current.

        With ``waits`` it needs them (lazy inputs, the nodes it was expanded into): the time until
        :meth:`resume` is theirs, not its own, and cannot make it slow. Without, it works on.
        """
        self._leave()
        # What others do on the GPU meanwhile is not this node's.
        self._device_start = None
        if waits and self._paused_at is None:
            self._kit.watch.remove(self)
            self._paused_at = time.monotonic()

    @guarded
    def resume(self) -> None:
        """Go on after :meth:`suspend`; the span is current again."""
        if self._paused_at is not None:
            waited_s = time.monotonic() - self._paused_at
            self._paused_at = None
            self.started += waited_s
            self.next_beat += waited_s
            self.slow_at += waited_s
            self._kit.watch.add(self)
        self._enter()

    @property
    def waits(self) -> bool:
        """Say whether the node waits for others."""
        return self._paused_at is not None

    def set(self, **attributes: Any) -> None:
        """Put attributes on the span and on the record of the node's end."""
        self._attributes.update(attributes)

    def interrupted(self) -> None:
        """Mark the node as stopped by a person: that is no fault."""
        self._interrupted = True

    def cached(self) -> None:
        """Mark the node as one whose result turned out to be in the cache."""
        self._is_cached = True

    def given_up(self, outcome: str, why: str = "its prompt has ended") -> None:
        """Mark the node ``skipped`` or ``interrupted`` by something outside of it.

        Not as :meth:`interrupted`, this says nothing about the prompt.
        """
        self._given_up, self._given_up_why = outcome, why

    @guarded
    def output_damaged(self, reason: str) -> None:
        """Record that a picture which this node saved is damaged; also after the node's end."""
        kind = CATALOGUE["output_damaged"]
        self._emit(
            "error",
            f"{kind.keyword}: node {self.class_type} ({self.node_id}): {reason}",
            {semconv.ERROR_KIND: kind.name, semconv.ERROR_LEVEL: int(kind.level)},
            semconv.EVENT_OUTPUT_DAMAGED,
        )

    @guarded
    def _begin(self) -> None:
        now = time.time_ns()
        parent = self._prompt.context_of(self.parent_node_id)
        span = self._kit.tracer.start_span(
            f"node {self.class_type}",
            context=parent,
            start_time=now,
            record_exception=False,
            set_status_on_exception=False,
        )
        self._span = span
        self._span_context = span.get_span_context()
        self.context = trace.set_span_in_context(span, parent)
        self._enter()
        self._prompt.opened(self)
        self._emit(
            "info",
            f"Node {self.class_type} ({self.node_id}) started",
            {},
            semconv.EVENT_NODE_STARTED,
            now,
        )
        self._kit.watch.add(self)
        if self._kit.device_timing:
            self._device_start = mark()

    def _enter(self) -> None:
        if self.context is not None:
            self._token = otel_context.attach(self.context)
            self._scope_token = SCOPE.set(self._scope)

    @guarded
    def _leave(self) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None
        if self._scope_token is not None:
            token, self._scope_token = self._scope_token, None
            SCOPE.reset(token)

    @guarded
    def _end(self, error: BaseException | None) -> None:
        now = time.time_ns()
        ran_s = (self._paused_at or time.monotonic()) - self.started
        self._ended = True
        self._kit.watch.remove(self)
        self._prompt.closed(self)
        measured = {semconv.NODE_CLASS_TYPE: self.class_type}
        attributes = self._shown_attributes()
        attributes[semconv.NODE_DURATION] = ran_s
        if self._interrupted or (error is not None and is_interrupt(error)):
            outcome, level = "interrupted", "info"
            message = f"Node {self.class_type} ({self.node_id}) interrupted after {ran_s:.2f} s"
            self._prompt.interrupted()
        elif self._given_up:
            outcome, level = self._given_up, "info"
            message = f"Node {self.class_type} ({self.node_id}) {outcome}: {self._given_up_why}"
        elif error is not None:
            outcome, level = "failed", "error"
            message = self._failure(error, attributes)
            measured[semconv.ERROR_TYPE] = str(attributes[semconv.ERROR_TYPE])
        elif self._is_cached:
            outcome, level = "cached", "info"
            message = f"Node {self.class_type} ({self.node_id}) taken from the cache"
        else:
            outcome, level = "executed", "info"
            message = f"Node {self.class_type} ({self.node_id}) finished in {ran_s:.2f} s"
        attributes[semconv.NODE_OUTCOME] = measured[semconv.NODE_OUTCOME] = outcome
        if outcome != "interrupted" and ran_s >= self._kit.time_limit_s:
            self._say_slow(
                f"ran for {ran_s:.1f} s, longer than {self._kit.time_limit_s:g} s", ran_s
            )
        if outcome == "executed" and self._device_start is not None:
            start, self._device_start = self._device_start, None

            def finish(seconds: float | None) -> None:
                if seconds is not None:
                    attributes[semconv.DEVICE_DURATION] = seconds
                self._finish(level, message, attributes, measured, now)

            if (end := mark()) is not None:
                self._kit.watch.delay(DeviceTime(start, end, finish))
                return
        self._finish(level, message, attributes, measured, now)

    def _finish(
        self,
        level: str,
        message: str,
        attributes: dict[str, JsonValue],
        measured: dict[str, str],
        now: int,
    ) -> None:
        """Write what is known now that nothing more is to come."""
        # Only the log record carries the stack: a span with one is cut by many back ends.
        stack = attributes.pop(semconv.ERROR_STACK_TRACE, None)
        # All at once: the SDK's price is by the call.
        self._span.set_attributes({**self._scope, **attributes})
        self._span.end(now)
        if stack is not None:
            attributes[semconv.ERROR_STACK_TRACE] = stack
        self._emit(level, message, attributes, semconv.EVENT_NODE_FINISHED, now)
        note = self._kit.instruments.note
        if measured[semconv.NODE_OUTCOME] == "cached":
            note(semconv.METRIC_CACHE_HITS, 1, {semconv.NODE_CLASS_TYPE: self.class_type})
            return
        note(
            semconv.METRIC_NODE_DURATION, cast("float", attributes[semconv.NODE_DURATION]), measured
        )
        if semconv.MODEL_LOAD_DURATION in attributes:
            note(semconv.METRIC_MODEL_LOADS, 1, {semconv.NODE_CLASS_TYPE: self.class_type})

    def _shown_attributes(self) -> dict[str, JsonValue]:
        shown: dict[str, JsonValue] = {}
        for key, value in self._attributes.items():
            converted = attribute(value)
            if converted is not None:
                shown[key] = converted
        return shown

    def _failure(self, error: BaseException, attributes: dict[str, JsonValue]) -> str:
        """Add the error's attributes, tell the prompt and return the message that says it."""
        described = describe(error)
        reason = short_reason(described)
        attributes.update(described)
        self._span.set_status(StatusCode.ERROR, reason)
        if self._prompt.already_said(error, self.started):
            # The same exception on its way out of a node that holds the failed one.
            return f"Node {self.class_type} ({self.node_id}) ended by a failure inside it"
        kind = kind_of(classify(error), self.losses)
        attributes[semconv.ERROR_KIND] = kind.name
        attributes[semconv.ERROR_LEVEL] = int(kind.level)
        self._prompt.said(error, kind, self.node_id, self.class_type)
        return f"{kind.keyword}: node {self.class_type} ({self.node_id}): {reason}"

    def beat(self, ran_s: float) -> None:
        """Say that the node still runs; called by the watch thread."""
        if not self._ended:
            self._emit(
                "info",
                f"Node {self.class_type} ({self.node_id}) has been running for {ran_s:.0f} s",
                {semconv.NODE_DURATION: ran_s},
                semconv.EVENT_NODE_RUNNING,
            )

    def slow(self, ran_s: float) -> None:
        """Say that the node runs longer than it should; called by the watch thread."""
        if not self._ended:
            self._say_slow(f"still running after {self._kit.time_limit_s:g} s", ran_s)

    def _say_slow(self, what: str, ran_s: float) -> None:
        if not self._kit.watch.claim_slow(self):
            return
        self._emit(
            "warning",
            f"{_SLOW.keyword}: node {self.class_type} ({self.node_id}) {what}",
            {
                semconv.NODE_DURATION: ran_s,
                semconv.ERROR_KIND: _SLOW.name,
                semconv.ERROR_LEVEL: int(_SLOW.level),
            },
            semconv.EVENT_NODE_SLOW,
        )

    def _emit(
        self,
        level: str,
        message: str,
        attributes: dict[str, Any],
        event_name: str,
        now: int | None = None,
    ) -> None:
        self._kit.stream.emit_prepared(
            level,
            message,
            attributes,
            event_name=event_name,
            span=self._span_context,
            scope=self._scope,
            time_ns=time.time_ns() if now is None else now,
        )


def short_reason(described: dict[str, str]) -> str:
    """Return one line that says what an exception of :func:`describe` is about."""
    text = described[semconv.ERROR_MESSAGE].strip()
    first = text.splitlines()[0] if text else described[semconv.ERROR_TYPE]
    return first if len(first) <= _REASON_CHARS else first[:_REASON_CHARS] + "…"
