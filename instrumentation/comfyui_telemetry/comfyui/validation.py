"""Hook on ``execution.validate_prompt``: prompts that are refused, and outputs that are left out.

It returns ``(valid, error, outputs, node_errors)``. A prompt with one good and one bad output is
valid: it runs without the bad one, which only this answer tells.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any

from .. import semconv
from .._errors import message_of, qualified_name
from .._losses import guarded
from ._hook import Hook
from ._patch import comfy_module, drop_frame, member

_NODES = 8

# Set when the prompt of the request in hand was said to be rejected: the HTTP hook says the others.
SAID: ContextVar[bool] = ContextVar("comfyui_telemetry_rejection_said", default=False)


class ValidationHook(Hook):
    """Wraps the module-global function, which the HTTP handler looks up there."""

    name = "validation"
    loss = "refused prompts are known by their HTTP answer only"

    def place(self) -> str:
        """Wrap ``validate_prompt``, a coroutine function since 0.3.44 and a plain one before."""
        module = comfy_module("execution")
        original = member(module, "validate_prompt")
        hook = self
        if inspect.iscoroutinefunction(original):

            @wraps(original)
            async def validate_prompt(*args: Any, **kwargs: Any) -> Any:
                try:
                    result = await original(*args, **kwargs)
                except BaseException as error:
                    hook.raised(error)
                    drop_frame(error)
                    raise
                hook.returned(args, result)
                return result

        else:

            @wraps(original)
            def validate_prompt(*args: Any, **kwargs: Any) -> Any:
                try:
                    result = original(*args, **kwargs)
                except BaseException as error:
                    hook.raised(error)
                    drop_frame(error)
                    raise
                hook.returned(args, result)
                return result

        self.patch(module, "validate_prompt", validate_prompt)
        return "execution.validate_prompt"

    @guarded
    def returned(self, args: tuple[Any, ...], result: Any) -> None:
        """Record what an answer of the validation says."""
        if not self.active:
            return
        valid, error, _, node_errors = result[:4]
        # Its first argument is the prompt's id since 0.3.44 and the prompt itself before.
        prompt_id = args[0] if args and isinstance(args[0], str) else None
        errors = node_errors if isinstance(node_errors, Mapping) else {}
        if not valid:
            self._rejected(error, prompt_id, errors)
        elif errors:
            self._ignored(prompt_id, errors)

    @guarded
    def raised(self, error: BaseException) -> None:
        """Record a prompt that the validation stumbles over, such as a workflow in UI format."""
        if self.active and isinstance(error, Exception):
            SAID.set(True)
            self.recorder.prompt_rejected(
                error_type=qualified_name(type(error)),
                message=f"It is no graph of nodes: {message_of(error, 200)}",
            )

    def _rejected(self, error: Any, prompt_id: str | None, node_errors: Mapping[str, Any]) -> None:
        told = error if isinstance(error, Mapping) else {"message": error}
        message = str(told.get("message", ""))
        details = str(told.get("details") or "")
        if details and not node_errors and details not in message:
            message = f"{message}: {details}"
        SAID.set(True)
        self.recorder.prompt_rejected(
            error_type=str(told.get("type", "invalid_prompt")),
            message=message,
            prompt_id=prompt_id,
            node_errors=node_errors,
        )

    def _ignored(self, prompt_id: str | None, node_errors: Mapping[str, Any]) -> None:
        for node_id, found in list(node_errors.items())[:_NODES]:
            class_type = str(found.get("class_type", "?"))
            reasons = "; ".join(
                f"{error.get('message', error.get('type', '?'))}: {error.get('details', '')}"
                for error in found.get("errors", ())
            )
            attributes: dict[str, Any] = {
                semconv.NODE_ID: str(node_id),
                semconv.NODE_CLASS_TYPE: class_type,
                semconv.ERROR_MESSAGE: reasons,
            }
            if prompt_id is not None:
                attributes[semconv.PROMPT_ID] = prompt_id
            self.telemetry.logger(__name__).warning(
                f"Prompt runs without the outputs of node {class_type} ({node_id})",
                event_name=semconv.EVENT_OUTPUT_IGNORED,
                **attributes,
            )
