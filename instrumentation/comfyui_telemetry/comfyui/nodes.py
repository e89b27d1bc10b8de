"""Hook on ``execution.execute`` (since 2024-08): one record and one span a node.

ComfyUI catches what a node raises and returns it: ``(result, error_details, exception)``. A node
that is asynchronous, expanded into others or lazy in its inputs returns PENDING and is called again
later; its record stays open meanwhile and its span is current whenever it works.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from functools import wraps
from typing import Any

from .._losses import Losses, guarded
from .._told import ToldError
from ..recorder import NodeRecord
from ._hook import Hook
from ._patch import argument, comfy_module, drop_frame, member
from ._running import RunningPrompt
from .blocked import is_behind_blocker


class NodeHook(Hook):
    """Wraps the module-global function; its first seven parameters are the same in all versions."""

    name = "nodes"
    loss = "there are no spans of nodes, and a failure is known from the prompt's messages only"

    def place(self) -> str:
        """Wrap ``execute``, a coroutine function since 0.3.44 and a plain one before."""
        module = comfy_module("execution")
        original = member(module, "execute")
        hook = self
        if inspect.iscoroutinefunction(original):

            @wraps(original)
            async def execute(*args: Any, **kwargs: Any) -> Any:
                call = _Call(hook)
                call.begin(args, kwargs)
                try:
                    result = await original(*args, **kwargs)
                except BaseException as error:
                    call.raised(error)
                    drop_frame(error)
                    raise
                call.returned(result)
                return result

        else:

            @wraps(original)
            def execute(*args: Any, **kwargs: Any) -> Any:
                call = _Call(hook)
                call.begin(args, kwargs)
                try:
                    result = original(*args, **kwargs)
                except BaseException as error:
                    call.raised(error)
                    drop_frame(error)
                    raise
                call.returned(result)
                return result

        self.patch(module, "execute", execute)
        return "execution.execute"


class _Call:
    """One call: ``execute(server, dynprompt, caches, current_item, extra_data, executed, id, …)``.

    From then on ``execution_list, pending_subgraph_results, pending_async_nodes, ui_outputs`` were
    added one by one.
    """

    def __init__(self, hook: NodeHook) -> None:
        self._hook = hook
        self.losses: Losses = hook.losses
        self._running: RunningPrompt | None = None
        self._node: NodeRecord | None = None
        self._node_id = ""
        self._dynprompt: Any = None
        self._is_blocked = False
        self._executed: Any = ()
        self._async_nodes: Any = ()
        self._was_open = False
        self._called_at = 0.0

    @guarded
    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        running = self._hook.running.get(argument(args, kwargs, 6, "prompt_id"))
        if running is None or not self._hook.active:
            return
        self._called_at = time.monotonic()
        self._node_id = str(argument(args, kwargs, 3, "current_item"))
        self._dynprompt = argument(args, kwargs, 1, "dynprompt")
        self._executed = argument(args, kwargs, 5, "executed", ())
        self._async_nodes = argument(args, kwargs, 9, "pending_async_nodes", ())
        self._running = running
        # A cached output node passes through here: it was recorded with all cached nodes.
        if not running.is_cached(self._node_id):
            self._was_open = running.is_open(self._node_id)
            self._node = self._enter(running)
            # Now, because without a cache the inputs are gone once the node has run.
            self._is_blocked = is_behind_blocker(
                self._node_id,
                self._dynprompt.get_node(self._node_id),
                argument(args, kwargs, 2, "caches"),
                argument(args, kwargs, 7, "execution_list"),
            )

    def _enter(self, running: RunningPrompt) -> NodeRecord:
        node = self._dynprompt.get_node(self._node_id)
        parent = self._dynprompt.get_parent_node_id(self._node_id)
        class_type = str(node["class_type"])
        return running.enter(
            self._node_id,
            class_type,
            str(parent) if parent is not None else None,
            node.get("inputs"),
        )

    @guarded
    def returned(self, result: Any) -> None:
        if self._running is None:
            return
        status, details, error = result
        status = getattr(status, "name", status)
        if self._node is None:
            if status == "SUCCESS" and self._node_id not in self._executed:
                return
            # Named as cached, yet executed: memory pressure had thrown its result away.
            self._node = self._enter(self._running)
            self._node.started = self._called_at
        if status == "PENDING":
            self._node.suspend(waits=self._node_id not in self._async_nodes)
        elif status == "FAILURE":
            self._running.leave(self._node_id, _failure(error, details))
        else:
            if not self._was_open and self._node_id not in self._executed:
                # An output node of an expansion whose result was in the cache.
                self._node.cached()
            elif self._is_blocked:
                self._node.given_up("skipped", "its inputs are blocked")
            self._running.leave(self._node_id)

    @guarded
    def raised(self, error: BaseException) -> None:
        if self._running is not None and self._node is not None:
            self._running.leave(self._node_id, error)


def _failure(error: Any, details: Any) -> BaseException:
    """Return the exception that a node raised, or what was told of it."""
    if isinstance(error, BaseException):
        return error
    told = details if isinstance(details, Mapping) else {}
    return ToldError(
        str(told.get("exception_type", "Exception")), str(told.get("exception_message", ""))
    )
