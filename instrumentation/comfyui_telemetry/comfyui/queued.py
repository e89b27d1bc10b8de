"""Hook on ``PromptQueue``: the parent context of a prompt across the thread, and its waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from .._losses import guarded
from ._hook import Hook
from ._patch import argument, comfy_module, drop_frame, member

# Calls after which prompts have left the queue without being run.
_LEAVING = ("wipe_queue", "delete_queue_item")


class QueueHook(Hook):
    """Wraps ``put`` (called by the HTTP handler) and what takes waiting prompts away."""

    name = "queue"
    loss = "prompts start traces of their own and their waiting is not known"

    def place(self) -> str:
        """Wrap the methods of the class; one that a version lacks is left out."""
        owner = member(comfy_module("execution"), "PromptQueue")
        self._wrap(owner, "put", before=self._put)
        for name in _LEAVING:
            if callable(getattr(owner, name, None)):
                self._wrap(owner, name, after=self._left)
        return "PromptQueue.put"

    def _wrap(
        self,
        owner: Any,
        name: str,
        *,
        before: Callable[[tuple[Any, ...], Mapping[str, Any]], None] | None = None,
        after: Callable[[tuple[Any, ...], Mapping[str, Any]], None] | None = None,
    ) -> None:
        original = member(owner, name)

        @wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                before(args, kwargs)
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                drop_frame(error)
                raise
            if after is not None:
                after(args, kwargs)
            return result

        self.patch(owner, name, method)

    @guarded
    def _put(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note a prompt before the worker thread can see it: (number, prompt_id, prompt, ...)."""
        if self.active:
            item = argument(args, kwargs, 1, "item")
            self.recorder.prompt_queued(str(item[1]), number_waiting=len(args[0].queue) + 1)

    @guarded
    def _left(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if self.active:
            self.recorder.queue_depth(len(argument(args, kwargs, 0, "self").queue))
