"""``execution`` of 0.33 (2026-08): ``execute`` has an eleventh parameter, caches are awaited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import v0_3_64
from .after_2024_08 import Caches
from .common import (
    ExecutionBlocker,
    ExecutionResult,
    Graph,
    PromptQueue,
    Server,
    links,
    step,
)
from .v0_3_64 import validate_prompt

__all__ = ["ExecutionBlocker", "PromptExecutor", "PromptQueue", "execute", "validate_prompt"]


@dataclass(frozen=True)
class CacheEntry:
    """A result as the cache holds it."""

    outputs: list[list[Any]]


class ExecutionList(list[str]):
    """The nodes that are wanted; it also holds what each of them needs of others."""

    execution_cache: dict[str, dict[str, CacheEntry]]


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
    ui_outputs: dict[str, Any],
) -> tuple[ExecutionResult, Any, Any]:
    """Run one node, or go on with it."""
    result = step(
        dynprompt, caches.outputs, current_item, executed, pending_subgraph_results,
        pending_async_nodes, execution_list,
    )  # fmt: skip
    if result[0] is ExecutionResult.SUCCESS:
        ui_outputs[current_item] = {}
    return result


class PromptExecutor(v0_3_64.PromptExecutor):
    """As before, with the outputs for the user interface passed along."""

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
        needed = {
            link: CacheEntry([[caches.outputs[link]]])
            for link in links(graph.get_node(node_id)).values()
            if link in caches.outputs
        }
        execution_list = ExecutionList(wanted)
        execution_list.execution_cache = {node_id: needed}
        result = await execute(
            self.server, graph, _Awaited(caches.outputs), node_id, {}, executed, prompt_id,
            execution_list, pending, tasks, {},
        )  # fmt: skip
        wanted[:] = execution_list
        return result


class _Awaited(Caches):
    """Caches that are asked with ``await`` and whose values may be gone."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self.outputs = outputs
