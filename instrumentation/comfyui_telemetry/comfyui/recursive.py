"""Hook on ``execution.recursive_execute`` (before 2024-08-15): one record and one span a node.

The function calls itself for each input that is not there yet and only then runs the node, so a
call lasts as long as everything before it. The node's own work begins when its last missing input
has come: at once, or as the call of that input returns.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import wraps
from typing import Any

from .._losses import Losses, guarded
from ._hook import Hook
from ._patch import argument, comfy_module, drop_frame, member
from ._running import RunningPrompt
from .nodes import NodeHook, _failure


class RecursiveNodeHook(Hook):
    """Wraps the module-global function, which finds itself there: each depth is wrapped."""

    name = NodeHook.name
    loss = NodeHook.loss
    _added_depth = 0

    def place(self) -> str:
        """Wrap ``recursive_execute``."""
        module = comfy_module("execution")
        original = member(module, "recursive_execute")
        hook = self

        @wraps(original)
        def recursive_execute(*args: Any, **kwargs: Any) -> Any:
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

        self.patch(module, "recursive_execute", recursive_execute)
        # The wrapper is a frame more for each node in a chain: as long a chain as before must fit.
        self._added_depth = sys.getrecursionlimit()
        sys.setrecursionlimit(2 * self._added_depth)
        return "execution.recursive_execute"

    def remove(self) -> bool:
        """Restore the function and the depth of recursion."""
        restored = super().remove()
        if restored and self._added_depth:
            sys.setrecursionlimit(sys.getrecursionlimit() - self._added_depth)
            self._added_depth = 0
        return restored


class _Call:
    """One call: ``(server, prompt, outputs, current_item, extra_data, executed, prompt_id, …)``."""

    def __init__(self, hook: RecursiveNodeHook) -> None:
        self._hook = hook
        self.losses: Losses = hook.losses
        self._running: RunningPrompt | None = None
        self._node_id = ""
        self._node: Mapping[str, Any] = {}
        self._outputs: Any = ()
        self._missing: list[str] = []
        self._entered = False

    @guarded
    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        running = self._hook.running.get(argument(args, kwargs, 6, "prompt_id"))
        if running is None or not self._hook.active:
            return
        outputs = argument(args, kwargs, 2, "outputs", ())
        node_id = argument(args, kwargs, 3, "current_item")
        # Asking also records the cached nodes before anything runs.
        if running.is_cached(str(node_id)) or node_id in outputs:
            return
        self._running, self._outputs, self._node_id = running, outputs, str(node_id)
        self._node = argument(args, kwargs, 1, "prompt")[node_id]
        self._missing = [
            value[0]
            for value in self._node["inputs"].values()
            if isinstance(value, list) and value and value[0] not in outputs
        ]
        running.calls.append(self)
        self.enter_if_complete()

    def enter_if_complete(self) -> None:
        """Begin the node once all its inputs are there."""
        if self._entered or self._running is None:
            return
        if all(node_id in self._outputs for node_id in self._missing):
            self._entered = True
            self._running.enter(
                self._node_id, str(self._node["class_type"]), None, self._node.get("inputs")
            )

    @guarded
    def returned(self, result: Any) -> None:
        if self._running is None:
            return
        succeeded, details, error = result
        if succeeded is True:
            self._running.leave(self._node_id)
        elif self._entered:
            self._running.leave(self._node_id, _failure(error, details))
        self._pop()
        if succeeded is True and self._running.calls:
            self._running.calls[-1].enter_if_complete()

    @guarded
    def raised(self, error: BaseException) -> None:
        if self._running is not None:
            self._running.leave(self._node_id, error)
            self._pop()

    def _pop(self) -> None:
        assert self._running is not None  # noqa: S101 - for the type checker
        while self._running.calls and self._running.calls.pop() is not self:
            pass
