"""What a running prompt says: to its WebSocket client, and for its history.

ComfyUI's rule: a caller that gave no client id gets nothing (the hub would send to everybody), but
an interrupt is told to all. The history gets its messages either way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ddcolor_service.notices import Notice

Publish = Callable[[str, dict[str, Any], str | None], None]


class Messenger:
    """The messages of one prompt, in ComfyUI's order."""

    def __init__(self, prompt_id: str, client_id: str | None, publish: Publish) -> None:
        self._prompt_id = prompt_id
        self._client_id = client_id
        self._publish = publish
        self._states: dict[str, dict[str, Any]] = {}
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def start(self) -> None:
        """Say that the prompt begins."""
        self._note("execution_start", {})

    def cached(self, nodes: list[str]) -> None:
        """Say that these nodes need not run."""
        self._note("execution_cached", {"nodes": nodes})

    def success(self) -> None:
        """Say that every output is there."""
        self._note("execution_success", {})

    def interrupted(self, node_id: str, node_type: str, executed: list[str]) -> None:
        """Say that somebody stopped the prompt."""
        self._note(
            "execution_interrupted",
            {"node_id": node_id, "node_type": node_type, "executed": list(executed)},
            to_all=True,
        )

    def error(
        self, node_id: str, node_type: str, executed: list[str], description: dict[str, Any]
    ) -> None:
        """Say that a node failed."""
        self._state(node_id, "error")
        self._note(
            "execution_error",
            {
                "node_id": node_id,
                "node_type": node_type,
                "executed": list(executed),
                **description,
            },
        )

    def node_started(self, node_id: str) -> None:
        """Say that a node begins to run."""
        self._state(node_id, "running")
        self._send(
            "executing",
            {"node": node_id, "display_node": node_id, "prompt_id": self._prompt_id},
        )

    def progress(self, node_id: str, value: int, of: int) -> None:
        """Say that a node has done ``value`` of ``of`` steps."""
        self._state(node_id, "running", value, of)
        self._send(
            "progress",
            {"value": value, "max": of, "prompt_id": self._prompt_id, "node": node_id},
        )

    def executed(self, node_id: str, output: dict[str, Any]) -> None:
        """Say what a node has to show."""
        self._send(
            "executed",
            {
                "node": node_id,
                "display_node": node_id,
                "output": output,
                "prompt_id": self._prompt_id,
            },
        )

    def notice(self, node_id: str, notice: Notice) -> None:
        """Say something of a node that is no error: a size that was rounded, for example.

        An event of our own, because an output beside the pictures would confuse clients that
        count outputs; they all ignore events that they do not know.
        """
        self._note(
            "ddcolor_notice",
            {"node_id": node_id, "notice": notice.name, "values": dict(notice.values)},
        )

    def node_finished(self, node_id: str) -> None:
        """Say that a node is done."""
        self._state(node_id, "finished", 1, 1)

    def _state(self, node_id: str, state: str, value: int = 0, of: int = 1) -> None:
        self._states[node_id] = {
            "value": value,
            "max": of,
            "state": state,
            "node_id": node_id,
            "prompt_id": self._prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
        self._send("progress_state", {"prompt_id": self._prompt_id, "nodes": dict(self._states)})

    def _note(self, event: str, data: dict[str, Any], *, to_all: bool = False) -> None:
        data = {"prompt_id": self._prompt_id, **data, "timestamp": int(time.time() * 1000)}
        self.messages.append((event, data))
        if to_all and self._client_id is None:
            self._publish(event, data, None)
        else:
            self._send(event, data)

    def _send(self, event: str, data: dict[str, Any]) -> None:
        if self._client_id is not None:
            self._publish(event, data, self._client_id)
