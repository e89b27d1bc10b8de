"""``execution`` from 2024-08-15 to 0.3.43: a plain ``execute`` for each node of a growing graph."""

from __future__ import annotations

from typing import Any

from .common import (
    ExecutionBlocker,
    ExecutionResult,
    Graph,
    Messages,
    Prompt,
    PromptQueue,
    Server,
    check,
    signature,
    step,
)

__all__ = ["ExecutionBlocker", "PromptExecutor", "PromptQueue", "execute", "validate_prompt"]


class Outputs(dict[str, Any]):
    """Results by node."""

    def get(self, node_id: str) -> Any:  # type: ignore[override]
        """Return a list of values for each of a node's outputs, None if there is no result."""
        return [[self[node_id]]] if node_id in self else None


class Caches:
    """What ComfyUI keeps of nodes."""

    def __init__(self) -> None:
        self.outputs = Outputs()


def execute(
    server: Server,
    dynprompt: Graph,
    caches: Caches,
    current_item: str,
    extra_data: dict[str, Any],
    executed: set[str],
    prompt_id: str,
    execution_list: list[str],
    pending_subgraph_results: dict[str, Any],
) -> tuple[ExecutionResult, Any, Any]:
    """Run one node, or go on with it."""
    return step(
        dynprompt, caches.outputs, current_item, executed, pending_subgraph_results, {},
        execution_list,
    )  # fmt: skip


class PromptExecutor(Messages):
    """Runs the nodes that are ready, one after the other."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._results: dict[str, Any] = {}
        self.history_result: dict[str, Any] = {}

    def execute(
        self,
        prompt: Prompt,
        prompt_id: str,
        extra_data: dict[str, Any] | None = None,
        execute_outputs: tuple[str, ...] = (),
    ) -> None:
        """Run a prompt."""
        self.status_messages, self.success = [], True
        self.say("execution_start", prompt_id=prompt_id)
        graph, caches, executed, pending = Graph(prompt), Caches(), set[str](), dict[str, Any]()
        known = {node_id: signature(prompt, node_id) for node_id in prompt}
        caches.outputs.update({n: self._results[s] for n, s in known.items() if s in self._results})
        self.say("execution_cached", nodes=list(caches.outputs), prompt_id=prompt_id)
        wanted = list(execute_outputs)
        while wanted:
            node_id = graph.next_node(wanted, caches.outputs, ())
            if node_id is None:
                raise RuntimeError("nothing can run")
            result, details, error = execute(
                self.server, graph, caches, node_id, extra_data or {}, executed, prompt_id,
                wanted, pending,
            )  # fmt: skip
            if result is ExecutionResult.FAILURE:
                class_type = prompt[details["node_id"]]["class_type"]
                self.say_error(prompt_id, class_type, details, error)
                break
            if result is ExecutionResult.SUCCESS and node_id in wanted:
                wanted.remove(node_id)
        else:
            self.say("execution_success", prompt_id=prompt_id)
        for node_id in executed & known.keys():
            self._results[known[node_id]] = caches.outputs[node_id]
        self.history_result = {"outputs": {}, "meta": {}}


def validate_prompt(prompt: Prompt) -> tuple[bool, Any, list[str], Any]:
    """Check a prompt."""
    return check(prompt)
