"""A prompt as a graph: nodes, links between them, an order to run them in.

Everything is iterative: a chain of thousands of nodes must not end in a RecursionError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Prompt = dict[str, dict[str, Any]]
"""ComfyUI's API form: node id -> {"class_type": str, "inputs": {name: value or [id, slot]}}."""


class Link(NamedTuple):
    """One input that comes from another node's output."""

    node_id: str
    slot: int


def as_link(value: object) -> Link | None:
    """Return ``value`` as a link, or None when it is a plain value or a malformed list."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    node_id, slot = value
    if not isinstance(node_id, str) or isinstance(slot, bool) or not isinstance(slot, int):
        return None
    return Link(node_id, slot)


def links_of(node: Mapping[str, Any]) -> Iterator[tuple[str, Link]]:
    """Yield (input name, link) of one node."""
    for name, value in node.get("inputs", {}).items():
        link = as_link(value)
        if link is not None:
            yield name, link


def order(prompt: Prompt, outputs: list[str]) -> list[str]:
    """Return the nodes that ``outputs`` need, each after the nodes it takes from.

    The prompt must be free of cycles (see :func:`cycle_from`) and of links into the void.
    """
    done: dict[str, None] = {}
    for output in outputs:
        stack: list[tuple[str, Iterator[tuple[str, Link]]]] = []
        if output not in done:
            stack.append((output, links_of(prompt[output])))
        while stack:
            node_id, links = stack[-1]
            for _, link in links:
                if link.node_id not in done:
                    stack.append((link.node_id, links_of(prompt[link.node_id])))
                    break
            else:
                done[node_id] = None
                stack.pop()
    return list(done)


def reachable(prompt: Prompt, start: str) -> dict[str, None]:
    """Return ``start`` and all nodes it takes from, in the order found; void links are skipped."""
    found: dict[str, None] = {start: None}
    todo = [start]
    while todo:
        for _, link in links_of(prompt[todo.pop()]):
            if link.node_id in prompt and link.node_id not in found:
                found[link.node_id] = None
                todo.append(link.node_id)
    return found


def cycle_from(prompt: Prompt, start: str) -> list[str] | None:
    """Return the nodes of a cycle that ``start`` depends on, or None."""
    path: dict[str, None] = {}
    done: set[str] = set()
    stack = [(start, links_of(prompt[start]))]
    path[start] = None
    while stack:
        node_id, links = stack[-1]
        for _, link in links:
            if link.node_id in path:
                nodes = list(path)
                return nodes[nodes.index(link.node_id) :]
            if link.node_id in prompt and link.node_id not in done:
                path[link.node_id] = None
                stack.append((link.node_id, links_of(prompt[link.node_id])))
                break
        else:
            stack.pop()
            path.pop(node_id)
            done.add(node_id)
    return None
