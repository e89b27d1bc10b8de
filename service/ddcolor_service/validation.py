"""Is a prompt fit to run? All of ComfyUI's validation errors, in its shapes.

A prompt with one good and one bad output is accepted for the good one; only a prompt without any
good output is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from comfyui_telemetry import redact
from ddcolor_service import graph
from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.graph import Prompt
from ddcolor_service.node_types import InputSpec, NodeType, accepted_arguments

_MAX_SHOWN = 200
_CONVERTERS: dict[str, type[int] | type[float] | type[str] | type[bool]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


@dataclass(slots=True)
class Validated:
    """A prompt whose ``outputs`` can run; ``node_errors`` speaks of the others."""

    prompt: Prompt
    outputs: list[str]
    node_errors: dict[str, dict[str, Any]] = field(default_factory=dict)


class PromptRefusedError(RequestRefusedError):
    """No output of the prompt can run."""

    def __init__(
        self,
        error_type: str,
        message: str,
        details: str = "",
        node_errors: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message, details=details, error_type=error_type)
        self.node_errors = node_errors or {}


def validate(raw: object, types: Mapping[str, NodeType], *, max_nodes: int) -> Validated:
    """Check a prompt in API form; returns it with its values converted to the declared types.

    Raises :class:`PromptRefusedError` when nothing of it can run.
    """
    prompt = _check_shape(raw, types, max_nodes)
    outputs = [i for i, node in prompt.items() if types[node["class_type"]].is_output]
    if not outputs:
        raise PromptRefusedError(
            "prompt_no_outputs",
            "Prompt has no outputs",
            "Add a node that saves or shows a picture, such as SaveImage.",
        )
    needed = {output: graph.reachable(prompt, output) for output in outputs}
    errors: dict[str, list[dict[str, Any]]] = {}
    for node_id in {node: None for closure in needed.values() for node in closure}:
        found = _check_node(node_id, prompt, types)
        if found:
            errors[node_id] = found
    for output in outputs:
        cycle = graph.cycle_from(prompt, output)
        if cycle is not None and not any(
            e["type"] == "dependency_cycle" for e in errors.get(cycle[0], [])
        ):
            errors.setdefault(cycle[0], []).append(_cycle_error(cycle, prompt))
    node_errors = {
        node_id: {
            "errors": found,
            "dependent_outputs": [o for o in outputs if node_id in needed[o]],
            "class_type": prompt[node_id]["class_type"],
        }
        for node_id, found in errors.items()
    }
    good = [o for o in outputs if not any(node_id in errors for node_id in needed[o])]
    if not good:
        details = "\n".join(
            f"{e['node']}: {e['message']}: {e['details']}" for e in _flat(node_errors)
        )
        raise PromptRefusedError(
            "prompt_outputs_failed_validation",
            "Prompt outputs failed validation",
            details[:2000],
            node_errors,
        )
    return Validated(prompt, good, node_errors)


def _flat(node_errors: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**error, "node": f"{entry['class_type']} {node_id}"}
        for node_id, entry in node_errors.items()
        for error in entry["errors"]
    ]


def _check_shape(raw: object, types: Mapping[str, NodeType], max_nodes: int) -> Prompt:
    """Return the prompt's own copy; every node has a known class and a dict of inputs."""
    if not isinstance(raw, dict) or not raw:
        raise PromptRefusedError("no_prompt", "No prompt provided", "No prompt provided")
    if len(raw) > max_nodes:
        raise PromptRefusedError(
            "invalid_prompt", "The prompt has too many nodes", f"{len(raw)} > {max_nodes}"
        )
    prompt: Prompt = {}
    for node_id, node in raw.items():
        where = f"Node ID '#{_shown(node_id)}'"
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise PromptRefusedError(
                "invalid_prompt",
                "Cannot execute because a node is missing the class_type property.",
                where,
            )
        class_type = node["class_type"]
        if class_type not in types:
            raise PromptRefusedError(
                "invalid_prompt",
                f"Cannot execute because node {_shown(class_type)} does not exist.",
                where,
            )
        inputs = node.get("inputs", {})
        if not isinstance(inputs, dict):
            raise PromptRefusedError("invalid_prompt", "A node's inputs must be an object.", where)
        prompt[node_id] = {**node, "inputs": dict(inputs)}
    return prompt


def _check_node(
    node_id: str, prompt: Prompt, types: Mapping[str, NodeType]
) -> list[dict[str, Any]]:
    node = prompt[node_id]
    node_type = types[node["class_type"]]
    inputs = node["inputs"]
    hook = node_type.hook("VALIDATE_INPUTS")
    named, takes_all = accepted_arguments(hook) if hook else (set(), False)
    errors: list[dict[str, Any]] = []
    received: dict[str, str] = {}
    try:
        specs = list(node_type.inputs())
    except Exception as error:  # noqa: BLE001  a third party's INPUT_TYPES may raise anything
        return [_exception_error(error)]
    for spec in specs:
        if spec.name not in inputs:
            if spec.required:
                errors.append(
                    _error(
                        "required_input_missing",
                        "Required input is missing",
                        spec.name,
                        {"input_name": spec.name},
                    )
                )
            continue
        value = inputs[spec.name]
        if isinstance(value, list):
            problem = _check_link(spec, value, prompt, types, received, "input_types" in named)
        else:
            problem = _check_value(spec, inputs, by_hook=takes_all or spec.name in named)
        if problem is not None:
            errors.append(problem)
    if hook is not None and not errors:
        errors.extend(_run_hook(hook, named, takes_all, specs, inputs, received))
    return errors


def _check_link(
    spec: InputSpec,
    value: list[Any],
    prompt: Prompt,
    types: Mapping[str, NodeType],
    received: dict[str, str],
    hook_checks_types: bool,
) -> dict[str, Any] | None:
    link = graph.as_link(value)
    info = {"input_name": spec.name, "received_value": _echo(value)}
    if link is None:
        return _error(
            "bad_linked_input",
            "Bad linked input, must be a length-2 list of [node_id, slot_index]",
            spec.name,
            info,
        )
    if link.node_id not in prompt:
        return _error(
            "bad_linked_input",
            "Bad linked input, the prompt has no such node",
            f"{spec.name}: node {_shown(link.node_id)}",
            info,
        )
    outputs = types[prompt[link.node_id]["class_type"]].return_types
    if not 0 <= link.slot < len(outputs):
        return _error(
            "bad_linked_input",
            "Bad linked input, the node has no such output",
            f"{spec.name}: output {link.slot} of node {_shown(link.node_id)}",
            info,
        )
    received[spec.name] = outputs[link.slot]
    if hook_checks_types or _types_match(outputs[link.slot], spec.type):
        return None
    wanted = spec.type if isinstance(spec.type, str) else "COMBO"
    return _error(
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        f"{spec.name}, received_type({outputs[link.slot]}) mismatch input_type({wanted})",
        {**info, "received_type": outputs[link.slot], "linked_node": list(link)},
    )


def _types_match(received: str | list[Any], wanted: str | list[Any]) -> bool:
    if isinstance(wanted, list) or isinstance(received, list):
        return received == wanted or received in ("*", "COMBO")
    if "*" in (received, wanted):
        return True
    return bool(set(received.split(",")) & set(wanted.split(",")))


def _check_value(
    spec: InputSpec, inputs: dict[str, Any], *, by_hook: bool
) -> dict[str, Any] | None:
    """Convert a plain value in place and hold it against the declared limits or choices."""
    value = inputs[spec.name]
    if isinstance(value, dict) and set(value) == {"__value__"}:
        value = value["__value__"]  # ComfyUI's way to give a list that is no link
        inputs[spec.name] = value
    info = {"input_name": spec.name, "received_value": _echo(value)}
    if isinstance(spec.type, list):
        if by_hook or value in spec.type:
            return None
        choices = ", ".join(repr(choice) for choice in spec.type[:20])
        return _error(
            "value_not_in_list",
            "Value not in list",
            f"{spec.name}: {_shown(repr(value))} not in [{choices}]",
            info,
        )
    convert = _CONVERTERS.get(spec.type)
    if convert is None:
        return None
    try:
        number = convert(value)
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError("not a finite number")  # noqa: TRY301  one answer for all
        if isinstance(number, int) and not -(1 << 63) <= number < 1 << 63:
            raise ValueError("more than 64 bits")  # noqa: TRY301  nor does JSON hold it
    except (TypeError, ValueError, OverflowError) as error:
        return _error(
            "invalid_input_type",
            f"Failed to convert an input value to a {spec.type} value",
            f"{spec.name}, {_shown(repr(value))}, {_shown(str(error))}",
            {**info, "exception_message": _shown(str(error))},
        )
    inputs[spec.name] = number
    if by_hook or not isinstance(number, int | float) or isinstance(number, bool):
        return None
    return _check_limits(spec, number, info)


def _check_limits(spec: InputSpec, number: float, info: dict[str, Any]) -> dict[str, Any] | None:
    low, high = spec.options.get("min"), spec.options.get("max")
    if low is not None and number < low:
        return _error(
            "value_smaller_than_min", f"Value {number} smaller than min of {low}", spec.name, info
        )
    if high is not None and number > high:
        return _error(
            "value_bigger_than_max", f"Value {number} bigger than max of {high}", spec.name, info
        )
    return None


def _run_hook(
    hook: Any,
    named: set[str],
    takes_all: bool,
    specs: list[InputSpec],
    inputs: Mapping[str, Any],
    received: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Run ``VALIDATE_INPUTS``; it sees None for inputs that other nodes will give."""
    arguments: dict[str, Any] = {
        spec.name: None if spec.name in received else inputs[spec.name]
        for spec in specs
        if spec.name in inputs and (takes_all or spec.name in named)
    }
    checked = list(arguments)
    if "input_types" in named:
        arguments["input_types"] = dict(received)
    try:
        verdict = hook(**arguments)
    except Exception as error:  # noqa: BLE001  a third party's hook may raise anything
        return [_exception_error(error)]
    if verdict is True:
        return []
    reason = "" if verdict is False else f" - {_shown(str(verdict))}"
    return [
        _error(
            "custom_validation_failed",
            "Custom validation failed for node",
            f"{name}{reason}",
            {"input_name": name, "received_value": _echo(arguments[name])},
        )
        for name in checked
    ] or [_error("custom_validation_failed", "Custom validation failed for node", reason[3:], {})]


def _cycle_error(cycle: list[str], prompt: Prompt) -> dict[str, Any]:
    names = " -> ".join(f"{prompt[i]['class_type']} {_shown(i)}" for i in cycle[:10])
    return _error("dependency_cycle", "Dependency cycle detected", names, {"nodes": cycle[:100]})


def _exception_error(error: Exception) -> dict[str, Any]:
    return _error(
        "exception_during_validation",
        "Exception when validating node",
        _shown(redact(str(error))),
        {"exception_type": type(error).__name__, "traceback": []},
    )


def _error(
    error_type: str, message: str, details: str, extra_info: dict[str, Any]
) -> dict[str, Any]:
    return {"type": error_type, "message": message, "details": details, "extra_info": extra_info}


def _shown(text: object) -> str:
    """Cap what a stranger wrote before it goes into an answer."""
    value = str(text)
    return value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…"


def _echo(value: object) -> object:
    """Return a received value for ``extra_info``, as it is when it is short."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return value if len(repr(value)) <= _MAX_SHOWN else _shown(repr(value))
