"""ComfyUI's class protocol, read from a node class once and in one place.

A node is any class with ``INPUT_TYPES()`` (class method), ``RETURN_TYPES``, ``FUNCTION`` and
optionally ``CATEGORY``, ``RETURN_NAMES``, ``OUTPUT_NODE``, ``INPUT_IS_LIST``, ``OUTPUT_IS_LIST``,
``DESCRIPTION``, ``VALIDATE_INPUTS`` and ``IS_CHANGED``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NodeClass = type[Any]
_KINDS = ("required", "optional")


class NodeClassError(Exception):
    """A class does not follow the protocol; the message says where."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One declared input: a type's name or the list of choices, and its options."""

    name: str
    type: str | list[Any]
    options: Mapping[str, Any]
    required: bool


@dataclass(frozen=True, slots=True)
class NodeType:
    """A node class under its name."""

    name: str
    cls: NodeClass
    display_name: str

    @property
    def return_types(self) -> tuple[str, ...]:
        """Types of the outputs, by slot."""
        return tuple(self.cls.RETURN_TYPES)

    @property
    def is_output(self) -> bool:
        """True for nodes a prompt is run for: SaveImage and its like."""
        return bool(getattr(self.cls, "OUTPUT_NODE", False))

    @property
    def output_is_list(self) -> tuple[bool, ...]:
        """For each slot, whether the node hands on a list whose items run one by one."""
        given = tuple(getattr(self.cls, "OUTPUT_IS_LIST", ()))
        return given or (False,) * len(self.return_types)

    def declared(self) -> dict[str, Any]:
        """Return ``INPUT_TYPES()`` as it is now (choices such as checkpoints change)."""
        return dict(self.cls.INPUT_TYPES())

    def inputs(self) -> Iterator[InputSpec]:
        """Yield required, then optional inputs in the declared order."""
        declared = self.declared()
        for kind in _KINDS:
            for name, spec in declared.get(kind, {}).items():
                yield self._spec(name, spec, required=kind == "required")

    def _spec(self, name: str, spec: Any, *, required: bool) -> InputSpec:
        if not isinstance(spec, list | tuple) or not spec:
            raise NodeClassError(f"{self.name}: input {name} must be a tuple (type, options)")
        options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
        kind = list(spec[0]) if isinstance(spec[0], list | tuple) else str(spec[0])
        if kind == "COMBO":  # the newer way to write a list of choices
            kind = list(options.get("options", []))
        return InputSpec(name, kind, options, required)

    def hidden(self) -> dict[str, str]:
        """Return the hidden inputs: parameter name -> what it wants (PROMPT, UNIQUE_ID, ...)."""
        hidden = self.declared().get("hidden", {})
        return {name: s if isinstance(s, str) else str(s[0]) for name, s in hidden.items()}

    def hook(self, name: str) -> Callable[..., Any] | None:
        """Return the class's ``VALIDATE_INPUTS`` or ``IS_CHANGED``, if it has one."""
        found: Callable[..., Any] | None = getattr(self.cls, name, None)
        return found

    def info(self) -> dict[str, Any]:
        """Return the class's entry of ``/object_info``."""
        declared = self.declared()
        types = list(self.return_types)
        return {
            "input": declared,
            "input_order": {kind: list(specs) for kind, specs in declared.items()},
            "output": types,
            "output_is_list": list(self.output_is_list),
            "output_name": list(getattr(self.cls, "RETURN_NAMES", types)),
            "name": self.name,
            "display_name": self.display_name,
            "description": getattr(self.cls, "DESCRIPTION", ""),
            "python_module": self.cls.__module__.split(".")[0],
            "category": getattr(self.cls, "CATEGORY", "sd"),
            "output_node": self.is_output,
        }


def read_node_type(name: str, cls: Any, display_name: str | None = None) -> NodeType:
    """Check that ``cls`` follows the protocol; raises :class:`NodeClassError`."""
    if not inspect.isclass(cls):
        raise NodeClassError(f"{name} is no class")
    for attribute in ("INPUT_TYPES", "RETURN_TYPES", "FUNCTION"):
        if not hasattr(cls, attribute):
            raise NodeClassError(f"{name} has no {attribute}")
    function = str(getattr(cls, "FUNCTION", ""))
    if not callable(getattr(cls, function, None)):
        raise NodeClassError(f"{name} has no method {function}, its FUNCTION")
    node_type = NodeType(name, cls, display_name or name)
    for _ in node_type.inputs():
        pass
    if len(node_type.output_is_list) != len(node_type.return_types):
        raise NodeClassError(f"{name}: OUTPUT_IS_LIST and RETURN_TYPES differ in length")
    return node_type


def accepted_arguments(function: Callable[..., Any]) -> tuple[set[str], bool]:
    """Return the parameter names of a hook and whether it takes any (``**kwargs``)."""
    parameters = inspect.signature(function).parameters.values()
    names = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    return names, any(p.kind is p.VAR_KEYWORD for p in parameters)
