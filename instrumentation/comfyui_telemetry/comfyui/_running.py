"""The prompts that run, between the hook of the prompt and the hook of its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import semconv
from .._classify import classify, is_interrupt
from .._told import ToldError
from ..recorder import NodeRecord, PromptRecord

_MESSAGES = 32
_MODEL_INPUTS = {
    "checkpoint": semconv.MODEL_NAME,
    "model_name": semconv.MODEL_NAME,
    "model_input_size": semconv.MODEL_INPUT_SIZE,
}


class RunningPrompt:
    """One execution of a prompt by an executor of ComfyUI.

    Methods may raise; the hooks that call them are guarded.
    """

    def __init__(
        self,
        record: PromptRecord,
        executor: Any,
        prompt_id: str,
        prompt: Mapping[str, Any],
        outputs: Iterable[Any] = (),
    ) -> None:
        self.record = record
        self._outputs = [str(node_id) for node_id in outputs]
        self.prompt_id = prompt_id
        self._executor = executor
        self._prompt = prompt
        self._open: dict[str, NodeRecord] = {}
        self._parents: dict[str, str | None] = {}
        self._failure: tuple[str, BaseException] | None = None
        self._cached: set[str] | None = None
        self.executed: dict[str, NodeRecord] = {}
        # Calls of recursive_execute, which nests: the innermost is the last.
        self.calls: list[Any] = []

    def is_cached(self, node_id: str) -> bool:
        """Say whether ComfyUI named the node as cached; all of those are recorded first."""
        return node_id in self._tell_cached()

    def enter(
        self, node_id: str, class_type: str, parent: str | None, inputs: Any = None
    ) -> NodeRecord:
        """Begin the node, or go on with it if it was left pending."""
        node = self._open.get(node_id)
        if node is not None:
            node.resume()
            return node
        node = self.record.node(node_id, class_type, parent)
        if class_type.startswith("DDColor"):
            node.set(**_model_attributes(inputs))
        self._open[node_id] = node
        self._parents[node_id] = parent
        node.begin()
        return node

    def is_open(self, node_id: str) -> bool:
        """Say whether the node was entered and has not ended."""
        return node_id in self._open

    def leave(self, node_id: str, error: BaseException | None = None) -> None:
        """End the node; with ``error`` it failed, or was interrupted."""
        node = self._open.pop(node_id, None)
        if node is None:
            return
        if error is not None:
            self._failure = (node_id, error)
        else:
            self.executed[node_id] = node
        node.end(error)

    def finish(self, error: BaseException | None, *, sees_nodes: bool = True) -> None:
        """End what is still open, then the prompt; ``error`` is what left the executor.

        Without ``sees_nodes`` nothing is known of the nodes that never had their turn.
        """
        self._tell_cached()
        interrupted, told = (False, None) if self._failure is not None else self._told_end()
        if interrupted:
            self.record.interrupted()
        if told is not None:
            self.record.failed(classify(told), told.node_id, told.class_type)
        self._close_open_nodes(interrupted=interrupted)
        failure = error or told
        if sees_nodes and (interrupted or failure is not None or self._failure is not None):
            self._tell_skipped(blamed=told.node_id if told is not None else "")
        # Frames hold tensors: nothing may hold the exception longer than ComfyUI does.
        self._failure = None
        self.record.__exit__(type(failure) if failure else None, failure, None)

    def saved(self) -> Iterator[tuple[NodeRecord, Mapping[str, Any]]]:
        """Yield the nodes that were executed with what each told the user interface."""
        result = getattr(self._executor, "history_result", None)
        outputs = result.get("outputs") if isinstance(result, Mapping) else None
        if outputs is None:
            outputs = getattr(self._executor, "outputs_ui", None) or {}
        for node_id, shown in outputs.items():
            node = self.executed.get(str(node_id))
            if node is not None and isinstance(shown, Mapping):
                yield node, shown

    def shows_photo(self, node_id: str) -> bool:
        """Say whether a node's picture was made from one that somebody gave the prompt."""
        seen: set[str] = set()
        ahead = [node_id]
        while ahead:
            node = self._prompt.get(ahead.pop())
            if not isinstance(node, Mapping):
                continue
            if str(node.get("class_type", "")).startswith(("LoadImage", "DDColor")):
                return True
            links = links_of(node)
            ahead.extend(link for link in links if link not in seen)
            seen.update(links)
        return False

    def _close_open_nodes(self, *, interrupted: bool) -> None:
        """End the nodes that wait for others, or whose work goes on, though the prompt is over."""
        failed_id, failure = self._failure or ("", None)
        interrupted = interrupted or (failure is not None and is_interrupt(failure))
        holders = set(self._ancestors(failed_id))
        for node_id in reversed(list(self._open)):
            node = self._open.pop(node_id)
            if node_id in holders:
                # The failure left this node too: it was expanded into the one that failed.
                node.end(failure)
                continue
            node.given_up("interrupted" if interrupted or not node.waits else "skipped")
            node.end()

    def _tell_skipped(self, blamed: str) -> None:
        """Record the nodes that the outputs needed and that never had their turn."""
        needed: set[str] = set()
        ahead = list(self._outputs)
        while ahead:
            node_id = ahead.pop()
            node = self._prompt.get(node_id)
            # What lies before a cached node is not needed.
            if node_id in needed or node_id in self._tell_cached() or not isinstance(node, Mapping):
                continue
            needed.add(node_id)
            ahead.extend(links_of(node))
        # What ComfyUI says counts too: another pack may have taken our hook's place.
        had_turn = {blamed, *self._parents}
        for _, data in self._messages():
            had_turn.update(map(str, data.get("executed", ())))
        for node_id in self._prompt:
            if node_id in needed and node_id not in had_turn:
                self.record.node_skipped(node_id, str(self._prompt[node_id].get("class_type", "?")))

    def _ancestors(self, node_id: str) -> Iterator[str]:
        parent = self._parents.get(node_id)
        while parent is not None:
            yield parent
            parent = self._parents.get(parent)

    def _tell_cached(self) -> set[str]:
        if self._cached is not None:
            return self._cached
        self._cached = set()
        for node_id in self._cached_ids():
            node = self._prompt.get(node_id)
            if isinstance(node, Mapping):
                self._cached.add(node_id)
                self.record.node_cached(node_id, str(node.get("class_type", "?")))
        return self._cached

    def _cached_ids(self) -> list[str]:
        for name, data in self._messages():
            if name == "execution_cached":
                return [str(node_id) for node_id in data.get("nodes", ())]
        # Before 2024-01-12 only a connected client was told; the executor's outputs are the cache.
        return [str(node_id) for node_id in getattr(self._executor, "outputs", None) or ()]

    def _told_end(self) -> tuple[bool, FailureToldError | None]:
        """Return whether the executor says it was interrupted, and the failure it tells of.

        For what no node's hook saw, such as a cycle in the graph.
        """
        for name, data in reversed(list(self._messages())):
            if name == "execution_interrupted":
                return True, None
            if name == "execution_error" and data.get("exception_type") != "ExecutionBlocked":
                return False, FailureToldError(data)
            if name == "execution_success":
                break
        return False, None

    def _messages(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        messages = getattr(self._executor, "status_messages", None)
        for message in list(messages or ())[:_MESSAGES]:
            name, data = message
            if (
                isinstance(data, Mapping)
                and data.get("prompt_id", self.prompt_id) == self.prompt_id
            ):
                yield str(name), data


class FailureToldError(ToldError):
    """The executor says that a node failed; from its ``execution_error`` message."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        stack = data.get("traceback") or ()
        super().__init__(
            str(data.get("exception_type", "Exception")),
            str(data.get("exception_message", "")).strip(),
            "".join(str(line) for line in stack) if isinstance(stack, (list, tuple)) else "",
        )
        self.node_id = str(data.get("node_id", ""))
        self.class_type = str(data.get("node_type", ""))


def links_of(node: Mapping[str, Any]) -> list[str]:
    """Return the ids of the nodes that a node's inputs name."""
    inputs = node.get("inputs")
    values = inputs.values() if isinstance(inputs, Mapping) else ()
    return [str(value[0]) for value in values if is_link(value)]


def is_link(value: Any) -> bool:
    """Say whether an input's value names another node and its output."""
    return isinstance(value, (list, tuple)) and len(value) == 2


def _model_attributes(inputs: Any) -> dict[str, Any]:
    """Return what the inputs of a DDColor node tell of its model; links to other nodes do not."""
    if not isinstance(inputs, Mapping):
        return {}
    return {
        _MODEL_INPUTS[name]: value
        for name, value in inputs.items()
        if name in _MODEL_INPUTS and type(value) is (int if "size" in name else str)
    }


class RunningPrompts:
    """The prompts that run now, by id. One worker thread is usual, more are no trouble."""

    def __init__(self) -> None:
        self._by_id: dict[str, RunningPrompt] = {}
        self.sees_nodes = False
        self.finished = 0

    def get(self, prompt_id: object) -> RunningPrompt | None:
        """Return the running prompt of that id."""
        return self._by_id.get(str(prompt_id))

    def add(self, prompt: RunningPrompt) -> None:
        """Remember a prompt that begins."""
        self._by_id[prompt.prompt_id] = prompt

    def remove(self, prompt: RunningPrompt) -> None:
        """Forget a prompt that ended."""
        self._by_id.pop(prompt.prompt_id, None)
        self.finished += 1
