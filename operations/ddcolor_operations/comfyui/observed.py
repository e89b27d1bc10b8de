"""Tell the records of prompts that run in another process, from what it lets one see.

Pure of I/O: it is given queues, history entries and WebSocket messages, in any order, also twice.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from comfyui_telemetry import NodeRecord, PromptRecord, Telemetry, ToldError, classify

from .api import Queue, Queued, graph_of

_ENDED = 20_000
_MISSES = 3


class _Prompt:
    """A prompt that was seen and has not ended."""

    def __init__(self, queued: Queued) -> None:
        self.prompt_id = queued.prompt_id
        self.graph = queued.graph
        self.record: PromptRecord | None = None
        self.node: NodeRecord | None = None
        self.progress = time.monotonic()
        self.misses = 0
        self.is_stalled = False
        self.cached_told = False
        self.has_failed_node = False


class Observed:
    """All prompts of one ComfyUI."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._recorder = telemetry.recorder
        self._open: dict[str, _Prompt] = {}
        # A history entry is seen at each look; those before the watcher came are not news.
        self._ended: OrderedDict[str, None] = OrderedDict()

    def known(self, prompt_id: str) -> bool:
        """Say whether a prompt's end was told, or lies before the watcher came."""
        return prompt_id in self._ended

    def follows(self, prompt_id: object) -> bool:
        """Say whether messages about a prompt can be used: its graph is known."""
        return str(prompt_id) in self._open

    def forget(self, prompt_ids: Iterator[str] | Mapping[str, Any]) -> None:
        """Take prompts as ended before anything was watched."""
        for prompt_id in prompt_ids:
            self._close(prompt_id)

    def queue(self, queue: Queue) -> list[str]:
        """Take the queue; return the prompts that left it since, whose history is to be asked."""
        for item in (*queue.pending, *queue.running):
            if item.prompt_id not in self._open and item.prompt_id not in self._ended:
                self._open[item.prompt_id] = _Prompt(item)
                self._recorder.prompt_queued(item.prompt_id, number_waiting=len(queue.pending) or 1)
        for item in queue.running:
            if (prompt := self._open.get(item.prompt_id)) is not None:
                prompt.graph = item.graph
                self._begin(prompt, None)
        self._recorder.queue_depth(len(queue.pending))
        return [prompt_id for prompt_id in self._open if prompt_id not in queue.ids]

    def running(self) -> list[tuple[str, float]]:
        """Return the prompts that run and are not called stalled, with seconds of silence."""
        now = time.monotonic()
        return [
            (prompt.prompt_id, now - prompt.progress)
            for prompt in self._open.values()
            if prompt.record is not None and not prompt.is_stalled
        ]

    def stalled(self, prompt_id: str) -> None:
        """Say that a prompt hangs: the caller has asked every source."""
        prompt = self._open.get(prompt_id)
        if prompt is None or prompt.record is None or prompt.is_stalled:
            return
        prompt.is_stalled = True
        where = "queue, history and WebSocket agree"
        if (node := prompt.node) is not None:
            where = f"last seen in node {node.class_type} ({node.node_id})"
        prompt.record.stalled(time.monotonic() - prompt.progress, where)

    def message(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take a WebSocket message; those of a prompt come only to the client that sent it."""
        prompt = self._open.get(str(data.get("prompt_id", "")))
        if prompt is None:
            return
        prompt.progress = time.monotonic()
        prompt.is_stalled = False
        if kind in ("execution_start", "executing"):
            self._begin(prompt, None)
        if kind == "execution_cached":
            self._cached(prompt, data)
        elif kind == "executing":
            self._leave_node(prompt)
            node_id = data.get("node")  # None after the last
            if node_id is not None and prompt.record is not None:
                prompt.node = prompt.record.node(str(node_id), _class_of(prompt.graph, node_id))
                prompt.node.begin()
                # Its span must not become the parent of what this process does meanwhile.
                prompt.node.suspend(waits=False)
        elif kind == "execution_error":
            self._fail_node(prompt, data)
        elif kind == "execution_interrupted" and prompt.node is not None:
            prompt.node.interrupted()
            self._leave_node(prompt)

    def ended(self, prompt_id: str, entry: Mapping[str, Any]) -> None:
        """Take the history entry of a prompt; only the first time counts."""
        if prompt_id in self._ended:
            return
        prompt = self._open.get(prompt_id) or _Prompt(Queued(prompt_id, graph_of(entry)))
        messages = list(_messages(entry))
        times = [data["timestamp"] for _, data in messages if type(data.get("timestamp")) is int]
        self._begin(prompt, times[0] * 1_000_000 if times else None)
        for kind, data in messages:
            if kind == "execution_cached":
                self._cached(prompt, data)
        self._end(prompt, entry, messages, times)
        self._close(prompt_id)

    def missing(self, prompt_id: str) -> None:
        """Note that a prompt is neither in the queue nor in the history; the third time counts.

        One that waited was deleted. One that ran is gone with its process or with the history.
        """
        prompt = self._open.get(prompt_id)
        if prompt is None:
            return
        prompt.misses += 1
        if prompt.misses < _MISSES:
            return
        if prompt.record is not None:
            self._leave_node(prompt)
            prompt.record.end(
                ToldError("PromptLost", "it ran, left the queue, and no history tells its end")
            )
        else:
            self._recorder.prompt_removed(prompt_id)
        self._close(prompt_id)

    def _begin(self, prompt: _Prompt, at_ns: int | None) -> None:
        if prompt.record is None:
            prompt.record = self._recorder.prompt(prompt.prompt_id, node_count=len(prompt.graph))
            prompt.record.begin(at_ns if at_ns is not None else time.time_ns())
            prompt.progress = time.monotonic()

    def _cached(self, prompt: _Prompt, data: Mapping[str, Any]) -> None:
        nodes = data.get("nodes")
        if prompt.cached_told or prompt.record is None or not isinstance(nodes, list):
            return
        prompt.cached_told = True
        for node_id in nodes:
            prompt.record.node_cached(str(node_id), _class_of(prompt.graph, node_id))

    def _end(
        self,
        prompt: _Prompt,
        entry: Mapping[str, Any],
        messages: list[tuple[str, Mapping[str, Any]]],
        times: list[int],
    ) -> None:
        record = prompt.record
        assert record is not None  # noqa: S101 - begun by the caller
        error: ToldError | None = None
        last, data = messages[-1] if messages else ("", {})
        if last == "execution_interrupted":
            record.interrupted()
            if prompt.node is not None:
                prompt.node.interrupted()
        elif last == "execution_error":
            if not self._fail_node(prompt, data):
                error = _told(data)
                node_id, class_type = data.get("node_id", ""), data.get("node_type", "")
                record.failed(classify(error), str(node_id), str(class_type))
        elif not messages and not entry.get("outputs"):
            # Before 2024-01 the history told no status; only a success has outputs.
            error = ToldError("NoOutputs", "it ended without an output")
        self._leave_node(prompt)
        if times:
            # Milliseconds of the server's own clock; a look sees a start up to an interval late.
            record.end(error, times[-1] * 1_000_000, max(0, times[-1] - times[0]) / 1e3)
        else:
            record.end(error)

    @staticmethod
    def _fail_node(prompt: _Prompt, data: Mapping[str, Any]) -> bool:
        """End the open node if it is the one that failed; say whether its record told that."""
        node = prompt.node
        if node is not None and node.node_id == str(data.get("node_id", "")):
            prompt.node, prompt.has_failed_node = None, True
            node.end(_told(data))
        return prompt.has_failed_node

    @staticmethod
    def _leave_node(prompt: _Prompt) -> None:
        if prompt.node is not None:
            prompt.node.end()
            prompt.node = None

    def _close(self, prompt_id: str) -> None:
        self._open.pop(prompt_id, None)
        self._ended[prompt_id] = None
        if len(self._ended) > _ENDED:
            self._ended.popitem(last=False)


def _messages(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, Mapping) else None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], Mapping):
            yield str(message[0]), message[1]


def _told(data: Mapping[str, Any]) -> ToldError:
    stack = data.get("traceback")
    return ToldError(
        str(data.get("exception_type", "Exception")),
        str(data.get("exception_message", "")).strip(),
        "".join(str(line) for line in stack) if isinstance(stack, list) else "",
    )


def _class_of(graph: Mapping[str, Any], node_id: Any) -> str:
    """Return a node's class; one of an expansion is in no graph that was sent."""
    node = graph.get(str(node_id))
    return str(node.get("class_type", "?")) if isinstance(node, Mapping) else "?"
