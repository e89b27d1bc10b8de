"""Workflows as the ComfyUI page saves them ("UI form"), turned into the API form that runs.

The page saves the values of widgets as a bare list; their names are the inputs that
``/object_info`` declares, in that order. Two widgets have values without an input of their own:
the upload button behind an image's name and the "control after generate" behind a seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ddcolor_service.node_types import InputSpec, NodeType
from ddcolor_service.validation import PromptRefusedError

_WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN"})
_SILENT = frozenset({"Note", "MarkdownNote"})
_MUTED, _BYPASSED = 2, 4
_CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize"})
_MAX_HOPS = 1000


def api_form(raw: object, types: Mapping[str, NodeType]) -> object:
    """Return ``raw`` in API form; what is in it already, or is no workflow, comes back as it is.

    Raises :class:`PromptRefusedError` that names the node which cannot be converted.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("nodes"), list):
        return raw
    return _Converter(raw, types).convert()


class _Converter:
    def __init__(self, workflow: Mapping[str, Any], types: Mapping[str, NodeType]) -> None:
        self._types = types
        self._nodes: dict[str, dict[str, Any]] = {}
        for node in workflow["nodes"]:
            if not isinstance(node, dict) or not isinstance(node.get("id"), int | str):
                raise _refused("A node of the workflow has no id", "")
            self._nodes[str(node["id"])] = node
        self._links: dict[Any, tuple[str, int]] = {}
        links = workflow.get("links") or []
        if not isinstance(links, list):
            raise _refused("The links of the workflow are no list", "")
        for link in links:
            self._add_link(link)

    def _add_link(self, link: object) -> None:
        """Read ``[id, from node, from slot, to node, to slot, type]`` or the newer object."""
        try:
            if isinstance(link, dict):
                key, node, slot = link["id"], link["origin_id"], link["origin_slot"]
            else:
                key, node, slot = link[0], link[1], link[2]  # type: ignore[index]
            self._links[key] = (str(node), int(slot))
        except (KeyError, IndexError, TypeError, ValueError):
            raise _refused("A link of the workflow is broken", repr(link)[:100]) from None

    def convert(self) -> dict[str, Any]:
        """Return the prompt."""
        prompt = {}
        for node_id, node in self._nodes.items():
            class_type = str(node.get("type"))
            if node.get("mode", 0) in (_MUTED, _BYPASSED):
                continue
            if class_type in _SILENT or class_type in ("Reroute", "PrimitiveNode"):
                continue
            if class_type not in self._types:
                raise _refused(
                    f"Cannot execute because node {class_type[:100]} does not exist.",
                    f"Node ID '#{node_id}'",
                )
            prompt[node_id] = {
                "class_type": class_type,
                "inputs": self._inputs(node_id, node, self._types[class_type]),
            }
        if not prompt:
            raise PromptRefusedError("prompt_no_outputs", "Prompt has no outputs")
        return prompt

    def _inputs(self, node_id: str, node: dict[str, Any], node_type: NodeType) -> dict[str, Any]:
        where = f"Node ID '#{node_id}' ({node_type.name})"
        inputs = dict(_widget_values(node, node_type, where))
        for slot in _slots(node, "inputs", where):
            key = slot.get("link")
            if key is None:
                continue
            if not isinstance(slot.get("name"), str):
                raise _refused("An input of a node is broken", where)
            source = self._source(key, where)
            if isinstance(source, _Value):
                inputs[slot["name"]] = source.value
            elif source is not None:
                inputs[slot["name"]] = list(source)
        return inputs

    def _source(self, key: Any, where: str) -> tuple[str, int] | _Value | None:
        """Follow a link through reroutes, bypassed nodes and primitives to where it begins."""
        for _ in range(_MAX_HOPS):
            if key is None:
                return None
            if not isinstance(key, int | str) or key not in self._links:
                raise _refused("An input is linked to a link that is not there", where)
            node_id, slot = self._links[key]
            node = self._nodes.get(node_id)
            if node is None:
                raise _refused("An input is linked to a node that is not there", where)
            if node.get("type") == "PrimitiveNode":
                values = node.get("widgets_values")
                return _Value(values[0]) if isinstance(values, list) and values else None
            if node.get("mode", 0) == _MUTED:
                return None
            if node.get("type") != "Reroute" and node.get("mode", 0) != _BYPASSED:
                return node_id, slot
            key = self._passed_through(node, slot, where)
        raise _refused("The reroutes of the workflow form a circle", where)

    @staticmethod
    def _passed_through(node: dict[str, Any], slot: int, where: str) -> Any:
        """Return the link that a reroute or bypassed node hands on: the first of the same type."""
        inputs = _slots(node, "inputs", where)
        if node.get("type") == "Reroute":
            return inputs[0].get("link") if inputs else None
        outputs = _slots(node, "outputs", where)
        wanted = outputs[slot].get("type") if 0 <= slot < len(outputs) else None
        return next((i.get("link") for i in inputs if i.get("type") == wanted), None)


class _Value:
    """A plain value that a primitive node hands on."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _slots(node: Mapping[str, Any], side: str, where: str) -> list[dict[str, Any]]:
    """Return a node's inputs or outputs."""
    slots = node.get(side) or []
    if not isinstance(slots, list) or not all(isinstance(slot, dict) for slot in slots):
        raise _refused(f"The {side} of a node are broken", where)
    return slots


def _widget_values(
    node: dict[str, Any], node_type: NodeType, where: str
) -> Iterator[tuple[str, Any]]:
    """Yield (input name, value) of the node's widgets."""
    values = node.get("widgets_values") or []
    names = {spec.name for spec in node_type.inputs()}
    if isinstance(values, dict):
        yield from ((name, value) for name, value in values.items() if name in names)
        return
    if not isinstance(values, list):
        raise _refused("The widget values of a node are no list", where)
    rest = iter(values)
    pending: list[Any] = []
    for spec in node_type.inputs():
        if not _is_widget(spec):
            continue
        value = pending.pop() if pending else next(rest, _MISSING)
        if value is _MISSING:
            return
        yield spec.name, value
        if _has_button(spec):
            next(rest, None)
        elif spec.name in ("seed", "noise_seed") or spec.options.get("control_after_generate"):
            following = next(rest, _MISSING)
            if not (isinstance(following, str) and following in _CONTROLS):
                pending.append(following)


_MISSING = object()


def _is_widget(spec: InputSpec) -> bool:
    if spec.options.get("forceInput"):
        return False
    return isinstance(spec.type, list) or spec.type in _WIDGETS


def _has_button(spec: InputSpec) -> bool:
    return any(spec.options.get(name) for name in ("image_upload", "video_upload", "audio_upload"))


def _refused(message: str, details: str) -> PromptRefusedError:
    return PromptRefusedError("invalid_prompt", message, details)
