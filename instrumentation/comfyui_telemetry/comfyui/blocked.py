"""Nodes behind an ``ExecutionBlocker``: ComfyUI passes them through ``execute`` without a call.

A node that gets a blocker on any input does not run; it passes the blocker on and counts as a
success. That shows only in the outputs of the nodes before it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ._running import is_link


def is_behind_blocker(
    node_id: str, node: Mapping[str, Any], caches: Any, execution_list: Any
) -> bool:
    """Say whether none of a node's calls could run because of blockers among its inputs.

    A node with lists for inputs is called once for each of their items, one with
    ``INPUT_IS_LIST`` once for all.
    """
    blocker = getattr(sys.modules.get("execution"), "ExecutionBlocker", None)
    inputs = node.get("inputs")
    if blocker is None or not isinstance(inputs, dict):
        return False
    columns = []
    blocked = False
    for value in inputs.values():
        if is_link(value) and isinstance(value[0], str):
            column = _output(node_id, value[0], value[1], caches, execution_list)
            if column:
                columns.append(column)
                blocked = blocked or any(isinstance(item, blocker) for item in column)
    if not blocked:
        return False
    if _takes_lists(str(node.get("class_type"))):
        # Versions before 0.3.11, which have no module of that name, ran it with the blockers.
        return "comfyui_version" in sys.modules
    return all(
        any(isinstance(column[min(call, len(column) - 1)], blocker) for column in columns)
        for call in range(max(map(len, columns)))
    )


def _output(node_id: str, source: str, slot: Any, caches: Any, execution_list: Any) -> Any:
    """Return what a node gave at one of its outputs: a list of values, empty if not known."""
    links = getattr(execution_list, "execution_cache", None)
    if isinstance(links, dict):
        # Since 2025-12 a list of the prompt's own holds what a node needs; the cache may be empty.
        entry = links.get(node_id, {}).get(source)
    else:
        entry = caches.outputs.get(source)
    outputs = getattr(entry, "outputs", entry)
    if not isinstance(outputs, (list, tuple)) or type(slot) is not int or slot >= len(outputs):
        return ()
    found = outputs[slot]
    return found if isinstance(found, (list, tuple)) else ()


def _takes_lists(class_type: str) -> bool:
    classes = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {})
    return bool(getattr(classes.get(class_type), "INPUT_IS_LIST", False))
