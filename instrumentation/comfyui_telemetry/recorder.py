"""What a ComfyUI service tells about its prompts, nodes and uploads.

The service and the pack for a real ComfyUI call the same methods, so both tell the same story.
Every method is safe on the worker thread: none raises, none waits for an export or a disk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from . import semconv
from ._kit import Kit, kind_of, safe_name, safe_node_id
from ._losses import Losses, guarded
from ._node import NodeRecord
from ._prompt import PromptRecord
from ._queue import QueuedPrompts
from ._values import MESSAGE_CHARS, clean

__all__ = ["NodeRecord", "PromptRecord", "Recorder"]

_NODE_ERRORS = 8


class Recorder:
    """Records prompts, their nodes, and what was refused. Thread-safe."""

    def __init__(self, kit: Kit, queue: QueuedPrompts) -> None:
        self._kit = kit
        self._queue = queue
        self.losses: Losses = kit.losses

    @guarded
    def prompt_queued(self, prompt_id: str, *, number_waiting: int) -> None:
        """Record that a prompt was accepted.

        The current context becomes the parent of the prompt's span, whichever thread runs it, and
        the time of its waiting begins. ``number_waiting`` counts the prompts in the queue.
        """
        prompt_id = safe_name(prompt_id)
        now = time.time_ns()
        self._queue.add(prompt_id, otel_context.get_current(), now, number_waiting)
        self._kit.stream.emit(
            "info",
            f"Prompt queued, {number_waiting} waiting",
            {semconv.PROMPT_ID: prompt_id, semconv.QUEUE_DEPTH: number_waiting},
            event_name=semconv.EVENT_PROMPT_QUEUED,
            time_ns=now,
        )

    @guarded
    def prompt_removed(self, prompt_id: str) -> None:
        """Record that a waiting prompt was taken out of the queue and will not run.

        Nothing is said of a prompt that does not wait, so it may be told twice.
        """
        prompt_id = safe_name(prompt_id)
        waiting = self._queue.take(prompt_id)
        if waiting is None:
            return
        context, since = waiting
        now = time.time_ns()
        waited_s = max(0.0, (now - since) / 1e9)
        self._kit.stream.emit_prepared(
            "info",
            f"Prompt removed from the queue after {waited_s:.2f} s, unrun",
            {
                semconv.PROMPT_OUTCOME: "removed",
                semconv.QUEUE_WAIT: waited_s,
                semconv.QUEUE_DEPTH: self._queue.depth(),
            },
            event_name=semconv.EVENT_PROMPT_REMOVED,
            span=trace.get_current_span(context).get_span_context(),
            scope={semconv.PROMPT_ID: prompt_id},
            time_ns=now,
        )
        self._kit.instruments.note(semconv.METRIC_PROMPTS, 1, {semconv.PROMPT_OUTCOME: "removed"})

    @guarded
    def queue_depth(self, number_waiting: int) -> None:
        """Note how many prompts wait, as the queue itself counts them."""
        self._queue.count(number_waiting)

    @guarded
    def service_alive(self, attributes: Mapping[str, Any] | None = None) -> None:
        """Record that the service lives, with its queue and what else ``attributes`` tell of it.

        Called by the watch thread; by hand only where the service is another process.
        """
        oldest = self._queue.oldest()
        waited_s = 0.0 if oldest is None else max(0.0, (time.time_ns() - oldest) / 1e9)
        self._kit.stream.emit(
            "info",
            "Service alive",
            {
                semconv.QUEUE_DEPTH: self._queue.depth(),
                semconv.QUEUE_OLDEST_WAIT: waited_s,
                **(attributes or {}),
            },
            event_name=semconv.EVENT_SERVICE_HEARTBEAT,
        )

    @guarded
    def prompt_rejected(
        self,
        *,
        error_type: str,
        message: str,
        prompt_id: str | None = None,
        node_errors: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that a prompt failed validation.

        ``error_type`` is ComfyUI's (``prompt_outputs_failed_validation``), ``node_errors`` the
        mapping of its answer: node id to ``{"class_type", "errors": [{"type", "message"}]}``.
        """
        attributes: dict[str, Any] = {
            semconv.PROMPT_OUTCOME: "rejected",
            semconv.ERROR_TYPE: safe_name(error_type),
        }
        if prompt_id is not None:
            attributes[semconv.PROMPT_ID] = safe_name(prompt_id)
        details = list(_node_errors(node_errors or {}))
        if details:
            attributes[semconv.NODE_ID], attributes[semconv.NODE_CLASS_TYPE], _ = details[0]
        text = "; ".join([message, *(detail for _, _, detail in details)])
        attributes[semconv.ERROR_MESSAGE] = clean(text, MESSAGE_CHARS // 4)
        self._kit.stream.emit(
            "warning",
            f"Prompt rejected: {message}",
            attributes,
            event_name=semconv.EVENT_PROMPT_REJECTED,
        )
        labels = {semconv.PROMPT_OUTCOME: "rejected"}
        self._kit.instruments.note(semconv.METRIC_PROMPTS, 1, labels)

    @guarded
    def upload_rejected(self, *, kind: str, reason: str) -> None:
        """Record that an upload was refused; ``kind`` is one of the catalogue's."""
        known = kind_of(kind, self.losses)
        self._kit.stream.emit(
            "error",
            f"{known.keyword}: {reason}",
            {semconv.ERROR_KIND: known.name, semconv.ERROR_LEVEL: int(known.level)},
            event_name=semconv.EVENT_UPLOAD_REJECTED,
        )

    def prompt(
        self,
        prompt_id: str,
        *,
        node_count: int | None,
        workflow: str | None = None,
        scenario: str | None = None,
    ) -> PromptRecord:
        """Return the record of a prompt that is about to run, to be used as a context manager.

        Its parent is the context of :meth:`prompt_queued`, else the current one. ``node_count`` is
        None where the graph cannot be seen.
        """
        told = {
            semconv.PROMPT_NODE_COUNT: node_count,
            semconv.WORKFLOW_NAME: workflow,
            semconv.SCENARIO: scenario,
        }
        return PromptRecord(self._kit, self._queue, safe_name(prompt_id), told)


def _node_errors(node_errors: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield node id, class type and a line of text for each refused node."""
    for node_id, found in list(node_errors.items())[:_NODE_ERRORS]:
        if not isinstance(found, Mapping):
            continue
        class_type = safe_name(found.get("class_type", "?"))
        texts = [
            f"{error.get('type', '?')}: {error.get('details') or error.get('message', '')}"
            for error in found.get("errors", ())
            if isinstance(error, Mapping)
        ]
        yield safe_node_id(node_id), class_type, f"{class_type} {node_id}: {', '.join(texts)}"
