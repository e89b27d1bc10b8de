"""Hook on ``PromptExecutor.execute``: one record and one root span a prompt."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from .._losses import Losses, guarded
from ._hook import Hook
from ._patch import argument, comfy_module, drop_frame, member
from ._running import RunningPrompt, RunningPrompts

if TYPE_CHECKING:
    from .._configure import Telemetry
    from .outputs import OutputCheck


class PromptHook(Hook):
    """Wraps the method that the worker thread calls, so that the prompt's span is current in it."""

    name = "prompts"
    loss = "prompts and nodes are known by ComfyUI's log lines only"

    def __init__(
        self, telemetry: Telemetry, running: RunningPrompts, outputs: OutputCheck | None
    ) -> None:
        super().__init__(telemetry, running)
        self.outputs = outputs

    def place(self) -> str:
        """Wrap ``execute``, which since 0.3.44 runs ``execute_async`` in an event loop."""
        owner = member(comfy_module("execution"), "PromptExecutor")
        original = member(owner, "execute")
        hook = self
        if inspect.iscoroutinefunction(original):

            @wraps(original)
            async def execute(*args: Any, **kwargs: Any) -> Any:
                call = _Call(hook)
                call.begin(args, kwargs)
                try:
                    result = await original(*args, **kwargs)
                except BaseException as error:
                    call.end(error)
                    drop_frame(error)
                    raise
                call.end(None)
                return result

        else:

            @wraps(original)
            def execute(*args: Any, **kwargs: Any) -> Any:
                call = _Call(hook)
                call.begin(args, kwargs)
                try:
                    result = original(*args, **kwargs)
                except BaseException as error:
                    call.end(error)
                    drop_frame(error)
                    raise
                call.end(None)
                return result

        self.patch(owner, "execute", execute)
        return "PromptExecutor.execute"


class _Call:
    """One call of the wrapped method: ``execute(self, prompt, prompt_id, extra_data, ...)``."""

    def __init__(self, hook: PromptHook) -> None:
        self._hook = hook
        self.losses: Losses = hook.losses
        self._running: RunningPrompt | None = None

    @guarded
    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if not self._hook.active:
            return
        prompt = argument(args, kwargs, 1, "prompt", {})
        prompt_id = str(argument(args, kwargs, 2, "prompt_id", ""))
        record = self._hook.recorder.prompt(prompt_id, node_count=len(prompt))
        record.__enter__()
        self._running = RunningPrompt(
            record,
            argument(args, kwargs, 0, "self"),
            prompt_id,
            prompt,
            argument(args, kwargs, 4, "execute_outputs", ()),
        )
        self._hook.running.add(self._running)

    @guarded
    def end(self, error: BaseException | None) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self._hook.running.remove(running)
        running.finish(error, sees_nodes=self._hook.running.sees_nodes)
        if error is None and self._hook.outputs is not None:
            self._hook.outputs.look_at(running)
