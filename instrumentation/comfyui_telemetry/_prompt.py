"""The record of one prompt: its span, its log records, its measurements, its nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode

from . import semconv
from ._classify import classify, is_interrupt
from ._errors import describe
from ._kit import Kit, kind_of, safe_name, safe_node_id
from ._losses import Losses, guarded
from ._node import NodeRecord, short_reason
from ._queue import QueuedPrompts
from ._stream import SCOPE
from ._told import ToldError
from ._values import attribute
from .catalogue import CATALOGUE, ErrorKind


class PromptRecord:
    """A prompt from start to end; use it as a context manager around its execution.

    Its span is current inside. The outcome is ``success`` unless a node failed, a node was
    interrupted, :meth:`failed` or :meth:`interrupted` was called, or an exception leaves the block.
    """

    def __init__(
        self,
        kit: Kit,
        queue: QueuedPrompts,
        prompt_id: str,
        told: Mapping[str, Any],
    ) -> None:
        self._kit = kit
        self.losses: Losses = kit.losses
        self.prompt_id = prompt_id
        self._queue = queue
        self._told = told
        self._attributes: dict[str, Any] = {}
        self._scope = {semconv.PROMPT_ID: prompt_id}
        self._span: trace.Span = trace.INVALID_SPAN
        self._context: Context | None = None
        self._token: Any = None
        self._scope_token: Any = None
        self._open: dict[str, NodeRecord] = {}
        self._interrupted = False
        self._kind: ErrorKind | None = None
        self._failed_node = ("", "")
        # Which exception was said last, and when: the same one may leave further nodes. Only its
        # id is kept, because an exception holds its frames and they hold tensors.
        self._said_error = 0
        self._said_at = 0.0
        self._is_said = False
        self._started = time.monotonic()

    @property
    def trace_id(self) -> str:
        """Return the trace's id as 32 hex digits; zeros if tracing is off."""
        return format(self._span.get_span_context().trace_id, "032x")

    def __enter__(self) -> PromptRecord:
        self._begin(None)
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        self._end(error, None, None)
        self._leave()

    def begin(self, at_ns: int | None = None) -> None:
        """Start the prompt without making its span current: for one that runs elsewhere.

        ``at_ns`` is when that was, in nanoseconds since the epoch; by default now.
        """
        self._begin(at_ns)

    def end(
        self,
        error: BaseException | None = None,
        at_ns: int | None = None,
        duration_s: float | None = None,
    ) -> None:
        """End a prompt of :meth:`begin`; ``error`` is why it failed, if no node's record says so.

        ``duration_s`` is how long it ran where somebody else measured that.
        """
        self._end(error, at_ns, duration_s)

    def node(self, node_id: str, class_type: str, parent_node_id: str | None = None) -> NodeRecord:
        """Return the record of a node that is about to execute, to be used as a context manager.

        ``parent_node_id`` names the node whose expansion made this one, if there is one.
        """
        return NodeRecord(
            self._kit, self, safe_node_id(node_id), safe_name(class_type), parent_node_id
        )

    @guarded
    def node_cached(self, node_id: str, class_type: str) -> None:
        """Record a node whose result came from the cache: a span without length."""
        class_type = safe_name(class_type)
        self._instant(safe_node_id(node_id), class_type, "cached", "taken from the cache")
        labels = {semconv.NODE_CLASS_TYPE: class_type}
        self._kit.instruments.note(semconv.METRIC_CACHE_HITS, 1, labels)

    @guarded
    def node_skipped(self, node_id: str, class_type: str) -> None:
        """Record a node whose turn never came because the prompt failed or was interrupted."""
        text = "skipped: its prompt ended before its turn"
        self._instant(safe_node_id(node_id), safe_name(class_type), "skipped", text)

    def _instant(self, node_id: str, class_type: str, outcome: str, text: str) -> None:
        """Tell of a node that did not run by a span without length and a record."""
        now = time.time_ns()
        scope = {
            semconv.PROMPT_ID: self.prompt_id,
            semconv.NODE_ID: node_id,
            semconv.NODE_CLASS_TYPE: class_type,
        }
        told: dict[str, Any] = {semconv.NODE_OUTCOME: outcome, semconv.NODE_DURATION: 0.0}
        span = self._kit.tracer.start_span(
            f"node {class_type}",
            context=self._context,
            attributes={**scope, **told},
            start_time=now,
        )
        span.end(now)
        self._kit.stream.emit_prepared(
            "info",
            f"Node {class_type} ({node_id}) {text}",
            told,
            event_name=semconv.EVENT_NODE_FINISHED,
            span=span.get_span_context(),
            scope=scope,
            time_ns=now,
        )

    @guarded
    def failed(self, kind: str, node_id: str, class_type: str) -> None:
        """Mark the prompt failed; done by itself when an exception leaves a node."""
        if self._kind is None:
            self._kind = kind_of(kind, self.losses)
            self._failed_node = (safe_node_id(node_id), safe_name(class_type))

    def interrupted(self) -> None:
        """Mark the prompt as stopped by a person: that is no fault."""
        self._interrupted = True

    @guarded
    def stalled(self, silent_s: float, reason: str) -> None:
        """Record that the prompt has made no progress for ``silent_s`` seconds though it runs."""
        kind = CATALOGUE["inference_timeout"]
        self._emit(
            "warning",
            f"{kind.keyword}: no progress of the prompt for {silent_s:.0f} s, {reason}",
            {semconv.ERROR_KIND: kind.name, semconv.ERROR_LEVEL: int(kind.level)},
            semconv.EVENT_PROMPT_STALLED,
            time.time_ns(),
        )

    # For the nodes of this prompt.

    def context_of(self, parent_node_id: str | None) -> Context | None:
        """Return the context a node's span belongs under."""
        parent = self._open.get(parent_node_id) if parent_node_id is not None else None
        return self._context if parent is None else parent.context

    def opened(self, node: NodeRecord) -> None:
        """Remember a running node."""
        self._open[node.node_id] = node

    def closed(self, node: NodeRecord) -> None:
        """Forget a node that ended."""
        self._open.pop(node.node_id, None)

    def already_said(self, error: BaseException, since: float) -> bool:
        """Say whether ``error`` was recorded by a node that ended after ``since``."""
        return self._said_error == id(error) and since < self._said_at

    def said(self, error: BaseException, kind: ErrorKind, node_id: str, class_type: str) -> None:
        """Note the failure that a node's record has just told."""
        self._said_error = id(error)
        self._said_at = time.monotonic()
        self._is_said = True
        self.failed(kind.name, node_id, class_type)

    @guarded
    def _begin(self, at_ns: int | None) -> None:
        now = time.time_ns() if at_ns is None else at_ns
        attributes = {name: attribute(value) for name, value in self._told.items()}
        self._attributes = {name: value for name, value in attributes.items() if value is not None}
        parent: Context | None = None
        queued = self._queue.take(self.prompt_id)
        if queued is not None:
            parent, since = queued
            wait_s = max(0.0, (now - since) / 1e9)
            self._attributes[semconv.QUEUE_WAIT] = wait_s
            self._kit.instruments.note(semconv.METRIC_QUEUE_WAIT, wait_s, {})
        span = self._kit.tracer.start_span(
            "prompt",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes={**self._scope, **self._attributes},
            start_time=now,
            record_exception=False,
            set_status_on_exception=False,
        )
        self._span = span
        self._context = trace.set_span_in_context(span, parent)
        self._emit("info", "Prompt started", self._attributes, semconv.EVENT_PROMPT_STARTED, now)

    @guarded
    def _enter(self) -> None:
        if self._context is not None:
            self._token = otel_context.attach(self._context)
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
    def _end(
        self, error: BaseException | None, at_ns: int | None, duration_s: float | None
    ) -> None:
        now = time.time_ns() if at_ns is None else at_ns
        ran_s = time.monotonic() - self._started if duration_s is None else duration_s
        attributes: dict[str, Any] = dict(self._attributes)
        attributes[semconv.PROMPT_DURATION] = ran_s
        if error is not None and is_interrupt(error):
            self._interrupted = True
        if self._interrupted:
            outcome, level, message = (
                "interrupted",
                "info",
                f"Prompt interrupted after {ran_s:.2f} s",
            )
        elif self._kind is not None or error is not None:
            outcome, level = "failed", "error"
            message = self._failure(error, attributes)
        else:
            outcome, level, message = "success", "info", f"Prompt finished in {ran_s:.2f} s"
        attributes[semconv.PROMPT_OUTCOME] = outcome
        stack = attributes.pop(semconv.ERROR_STACK_TRACE, None)
        self._span.set_attributes(attributes)
        self._span.end(now)
        if stack is not None:
            attributes[semconv.ERROR_STACK_TRACE] = stack
        self._emit(level, message, attributes, semconv.EVENT_PROMPT_FINISHED, now)
        labels = {semconv.PROMPT_OUTCOME: outcome}
        self._kit.instruments.note(semconv.METRIC_PROMPT_DURATION, ran_s, labels)
        self._kit.instruments.note(semconv.METRIC_PROMPTS, 1, labels)

    def _failure(self, error: BaseException | None, attributes: dict[str, Any]) -> str:
        """Add what is known of the failure and return the message of the prompt's end."""
        node_id, class_type = self._failed_node
        reason = ""
        if not self._is_said and error is not None:
            # No node said it: the executor itself failed, or its nodes cannot be seen.
            self._kind = self._kind or kind_of(classify(error), self.losses)
            described = describe(error)
            attributes.update(described)
            reason = short_reason(described)
        assert self._kind is not None  # noqa: S101 - for the type checker
        attributes[semconv.ERROR_KIND] = self._kind.name
        attributes[semconv.ERROR_LEVEL] = int(self._kind.level)
        where = "the prompt outside its nodes"
        if isinstance(error, ToldError):
            where = "a node"
        if class_type:
            where = f"node {class_type} ({node_id})"
            attributes[semconv.NODE_ID] = node_id
            attributes[semconv.NODE_CLASS_TYPE] = class_type
        self._span.set_status(StatusCode.ERROR, f"{self._kind.keyword} in {where}")
        if self._is_said:
            return f"Prompt failed in {where}"
        # Each fault is said with its keyword once, so here if no node's record did.
        return f"{self._kind.keyword}: {where}" + (f": {reason}" if reason else "")

    def _emit(
        self, level: str, message: str, attributes: dict[str, Any], event_name: str, now: int
    ) -> None:
        self._kit.stream.emit_prepared(
            level,
            message,
            attributes,
            event_name=event_name,
            span=self._span.get_span_context(),
            scope=self._scope,
            time_ns=now,
        )
