"""Outputs of nodes, kept by what they were made from.

A node's signature covers its class, its own values, the signatures of all nodes it takes from and
what ``IS_CHANGED`` says, so an unchanged node is found again even under another id, and a file
that changed under the same name is not.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ddcolor_service import graph
from ddcolor_service.graph import Prompt
from ddcolor_service.node_types import NodeType, accepted_arguments


@dataclass(frozen=True, slots=True)
class NodeOutput:
    """What a node gave: a list of values for each slot, and what to show of it.

    ``files`` are the files that ``ui`` names: without them the entry is worth nothing.
    """

    slots: tuple[list[Any], ...]
    ui: dict[str, list[Any]] | None
    files: tuple[Path, ...] = ()


class OutputCache:
    """Holds the outputs of the latest prompt; used by the worker thread alone."""

    def __init__(self) -> None:
        self._entries: dict[str, NodeOutput] = {}

    def get(self, signature: str) -> NodeOutput | None:
        """Return the output, unless it is unknown or its files were removed meanwhile."""
        entry = self._entries.get(signature)
        if entry is not None and not all(path.is_file() for path in entry.files):
            del self._entries[signature]
            return None
        return entry

    def put(self, signature: str, output: NodeOutput) -> None:
        """Keep an output."""
        self._entries[signature] = output

    def keep_only(self, signatures: set[str]) -> None:
        """Drop what the current prompt does not use: pictures are large."""
        self._entries = {s: o for s, o in self._entries.items() if s in signatures}

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()


def signatures(prompt: Prompt, order: list[str], types: Mapping[str, NodeType]) -> dict[str, str]:
    """Return the signature of each node in ``order`` (inputs first)."""
    found: dict[str, str] = {}
    for node_id in order:
        node = prompt[node_id]
        node_type = types[node["class_type"]]
        inputs: dict[str, Any] = {}
        for name, value in node["inputs"].items():
            link = graph.as_link(value)
            inputs[name] = [found.get(link.node_id), link.slot] if link else {"value": value}
        parts = [node["class_type"], inputs, _changed(node_type, node["inputs"])]
        if "UNIQUE_ID" in node_type.hidden().values():
            parts.append(node_id)  # the node may behave by its id
        text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        found[node_id] = hashlib.sha256(text).hexdigest()
    return found


def _changed(node_type: NodeType, inputs: Mapping[str, Any]) -> str:
    """Ask ``IS_CHANGED``; NaN and an exception both mean "always run"."""
    hook = node_type.hook("IS_CHANGED")
    if hook is None:
        return ""
    named, takes_all = accepted_arguments(hook)
    arguments = {
        name: None if graph.as_link(value) else value
        for name, value in inputs.items()
        if takes_all or name in named
    }
    try:
        answer = hook(**arguments)
    except Exception:  # noqa: BLE001  the node itself will say what is wrong
        answer = math.nan
    if isinstance(answer, float) and math.isnan(answer):
        return uuid.uuid4().hex
    return repr(answer)
