"""``execution`` of 0.3.64 (2025-10): ``execute`` is a coroutine function, nodes may be, too."""

from __future__ import annotations

import asyncio
from typing import Any

from .after_2024_08 import Caches
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


async def execute(
    server: Server,
    dynprompt: Graph,
    caches: Caches,
    current_item: str,
    extra_data: dict[str, Any],
    executed: set[str],
    prompt_id: str,
    execution_list: list[str],
    pending_subgraph_results: dict[str, Any],
    pending_async_nodes: dict[str, Any],
) -> tuple[ExecutionResult, Any, Any]:
    """Run one node, or go on with it."""
    return step(
        dynprompt, caches.outputs, current_item, executed, pending_subgraph_results,
        pending_async_nodes, execution_list,
    )  # fmt: skip


class PromptExecutor(Messages):
    """Runs an event loop a prompt."""

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
        asyncio.run(self.execute_async(prompt, prompt_id, extra_data or {}, execute_outputs))

    async def execute_async(
        self,
        prompt: Prompt,
        prompt_id: str,
        extra_data: dict[str, Any],  # noqa: ARG002 - as in ComfyUI
        execute_outputs: tuple[str, ...],
    ) -> None:
        """Run the nodes that are ready while others wait for their tasks."""
        self.status_messages, self.success = [], True
        self.say("execution_start", prompt_id=prompt_id)
        graph, caches, executed = Graph(prompt), Caches(), set[str]()
        known = {node_id: signature(prompt, node_id) for node_id in prompt}
        caches.outputs.update({n: self._results[s] for n, s in known.items() if s in self._results})
        self.say("execution_cached", nodes=list(caches.outputs), prompt_id=prompt_id)
        if any(node["inputs"].get("cycle") for node in prompt.values()):
            details = {"node_id": "2", "exception_message": "a cycle", "traceback": []}
            self.say_error(
                prompt_id, "Add", {**details, "exception_type": "graph.DependencyCycleError"}, None
            )
            return
        await self._run(graph, caches, executed, prompt_id, list(execute_outputs))
        for node_id in executed & known.keys():
            self._results[known[node_id]] = caches.outputs[node_id]
        self.history_result = {"outputs": {}, "meta": {}}

    async def _run(
        self, graph: Graph, caches: Caches, executed: set[str], prompt_id: str, wanted: list[str]
    ) -> None:
        pending: dict[str, Any] = {}
        tasks: dict[str, Any] = {}
        while wanted:
            busy = [node_id for node_id, task in tasks.items() if not task.done()]
            node_id = graph.next_node(wanted, caches.outputs, busy)
            if node_id is None:
                await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
                continue
            result, details, error = await self.call(
                graph, caches, node_id, executed, prompt_id, wanted, pending, tasks
            )
            if result is ExecutionResult.FAILURE:
                class_type = graph.nodes[details["node_id"]]["class_type"]
                self.say_error(prompt_id, class_type, details, error)
                return
            if result is ExecutionResult.SUCCESS and node_id in wanted:
                wanted.remove(node_id)
        self.say("execution_success", prompt_id=prompt_id)

    async def call(
        self,
        graph: Graph,
        caches: Any,
        node_id: str,
        executed: set[str],
        prompt_id: str,
        wanted: list[str],
        pending: dict[str, Any],
        tasks: dict[str, Any],
    ) -> tuple[ExecutionResult, Any, Any]:
        """Call the module's function as it is at this moment."""
        return await execute(
            self.server, graph, caches, node_id, {}, executed, prompt_id, wanted, pending, tasks
        )


async def validate_prompt(
    prompt_id: str, prompt: Prompt, partial_execution_list: list[str] | None
) -> tuple[bool, Any, list[str], Any]:
    """Check a prompt."""
    return check(prompt)
