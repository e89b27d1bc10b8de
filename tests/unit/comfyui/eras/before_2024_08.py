"""``execution`` before 2024-08-15: ``recursive_execute`` calls itself for what is missing."""

from __future__ import annotations

from typing import Any

from .common import (
    NODES,
    InterruptProcessingException,
    Messages,
    Prompt,
    PromptQueue,
    Server,
    check,
    links,
    signature,
    told,
)

__all__ = ["PromptExecutor", "PromptQueue", "recursive_execute", "validate_prompt"]


def recursive_execute(
    server: Server,
    prompt: Prompt,
    outputs: dict[str, Any],
    current_item: str,
    extra_data: dict[str, Any],
    executed: set[str],
    prompt_id: str,
    outputs_ui: dict[str, Any],
    object_storage: dict[Any, Any],
) -> tuple[bool, Any, Any]:
    """Run what ``current_item`` needs, then itself."""
    if current_item in outputs:
        return True, None, None
    node = prompt[current_item]
    for link in links(node).values():
        if link not in outputs:
            result = recursive_execute(
                server,
                prompt,
                outputs,
                link,
                extra_data,
                executed,
                prompt_id,
                outputs_ui,
                object_storage,
            )
            if result[0] is not True:
                return result
    try:
        inputs = {**node["inputs"], **{name: outputs[link] for name, link in links(node).items()}}
        outputs[current_item] = NODES[node["class_type"]](**inputs)
    except InterruptProcessingException as error:
        return False, {"node_id": current_item}, error
    except Exception as error:  # noqa: BLE001 - a node's own code
        return False, told(error, current_item), error
    executed.add(current_item)
    return True, None, None


class PromptExecutor(Messages):
    """Keeps outputs from prompt to prompt; those are the cache."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.outputs: dict[str, Any] = {}
        self.outputs_ui: dict[str, Any] = {}
        self._signatures: dict[str, str] = {}

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
        now = {node_id: signature(prompt, node_id) for node_id in prompt}
        self.outputs = {
            node_id: value
            for node_id, value in self.outputs.items()
            if now.get(node_id) == self._signatures.get(node_id)
        }
        self._signatures = now
        self.say("execution_cached", nodes=list(self.outputs), prompt_id=prompt_id)
        executed: set[str] = set()
        for node_id in execute_outputs:
            succeeded, details, error = recursive_execute(
                self.server,
                prompt,
                self.outputs,
                node_id,
                extra_data or {},
                executed,
                prompt_id,
                self.outputs_ui,
                {},
            )
            if succeeded is not True:
                class_type = prompt[details["node_id"]]["class_type"]
                self.say_error(prompt_id, class_type, details, error)
                break


def validate_prompt(prompt: Prompt) -> tuple[bool, Any, list[str], Any]:
    """Check a prompt; without errors by node it gave a list, not a mapping."""
    valid, error, good, errors = check(prompt)
    return valid, error, good, errors or []
