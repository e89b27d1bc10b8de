"""Hook on ``PromptQueue``: the parent context of a prompt across the thread, and its waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

from .._losses import guarded
from ._hook import Hook
from ._patch import argument, comfy_module, drop_frame, member

# Calls that take prompts out of the queue without running them; one may call the other.
_REMOVING = ("wipe_queue", "delete_queue_item")
_RLOCK = type(threading.RLock())


class QueueHook(Hook):
    """Wraps ``put`` (called by the HTTP handler) and what takes waiting prompts away."""

    name = "queue"
    loss = "prompts start traces of their own and their waiting is not known"

    def place(self) -> str:
        """Wrap the methods of the class; one that a version lacks is left out."""
        owner = member(comfy_module("execution"), "PromptQueue")
        self.patch(owner, "put", self._around_put(member(owner, "put")))
        for name in _REMOVING:
            if callable(getattr(owner, name, None)):
                self.patch(owner, name, self._around_removal(member(owner, name)))
        return "PromptQueue.put"

    def _around_put(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def put(*args: Any, **kwargs: Any) -> Any:
            self._putting(args, kwargs)
            try:
                return original(*args, **kwargs)
            except BaseException as error:
                drop_frame(error)
                raise

        return put

    def _around_removal(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def remove(*args: Any, **kwargs: Any) -> Any:
            queue = argument(args, kwargs, 0, "self")
            # Else the worker might take a prompt meanwhile, which would look like a removal.
            with _held(queue):
                before = _waiting(queue)
                try:
                    result = original(*args, **kwargs)
                except BaseException as error:
                    drop_frame(error)
                    raise
                self._removed(before, queue)
            return result

        return remove

    @guarded
    def _putting(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note a prompt before the worker thread can see it: (number, prompt_id, prompt, ...)."""
        if self.active:
            item = argument(args, kwargs, 1, "item")
            self.recorder.prompt_queued(str(item[1]), number_waiting=len(args[0].queue) + 1)

    @guarded
    def _removed(self, before: list[str], queue: Any) -> None:
        if self.active:
            left = set(_waiting(queue))
            for prompt_id in before:
                if prompt_id not in left:
                    self.recorder.prompt_removed(prompt_id)
            self.recorder.queue_depth(len(left))


def _held(queue: Any) -> AbstractContextManager[Any]:
    """Return what holds the queue's own lock; nothing if it is of another kind than ever yet."""
    mutex = getattr(queue, "mutex", None)
    return mutex if isinstance(mutex, _RLOCK) else nullcontext()


def _waiting(queue: Any) -> list[str]:
    """Return the ids of the prompts that wait; none if they cannot be read."""
    try:
        return [str(item[1]) for item in queue.queue]
    except Exception:  # noqa: BLE001 - not the work's concern
        return []
