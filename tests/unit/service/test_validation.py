"""Every validation error of ComfyUI, from a prompt that causes it."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import pytest

from ddcolor_service.node_types import NodeClassError, NodeType, read_node_type
from ddcolor_service.validation import PromptRefusedError, validate


class Source:
    """Gives an IMAGE and a MASK."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Declare the inputs."""
        return {
            "required": {
                "count": ("INT", {"min": 1, "max": 10}),
                "share": ("FLOAT", {"min": 0.0, "max": 1.0}),
                "name": ("STRING", {}),
                "flag": ("BOOLEAN", {}),
                "choice": (["a", "b"],),
            },
            "optional": {"more": ("IMAGE",), "any": ("*",), "either": ("IMAGE,MASK",)},
        }

    def run(self) -> None:
        """Do nothing."""


class Picky(Source):
    """Checks for itself."""

    seen: ClassVar[list[dict[str, Any]]] = []

    @classmethod
    def VALIDATE_INPUTS(cls, count: int, more: object = "absent") -> bool | str:  # noqa: N802
        """Take less than five."""
        cls.seen.append({"count": count, "more": more})
        if count == 13:
            raise RuntimeError("unlucky")
        return True if count < 5 else "too many"


class Sink:
    """Takes an IMAGE."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Declare the inputs."""
        return {"required": {"images": ("IMAGE",)}}

    def run(self) -> None:
        """Do nothing."""


TYPES: dict[str, NodeType] = {
    cls.__name__: read_node_type(cls.__name__, cls) for cls in (Source, Picky, Sink)
}
GOOD: dict[str, Any] = {
    "1": {
        "class_type": "Source",
        "inputs": {"count": 3, "share": 0.5, "name": "n", "flag": True, "choice": "a"},
    },
    "9": {"class_type": "Sink", "inputs": {"images": ["1", 0]}},
}


def prompt_with(**inputs: Any) -> dict[str, Any]:
    prompt = copy.deepcopy(GOOD)
    prompt["1"]["inputs"].update(inputs)
    return prompt


def errors_of(prompt: object, node: str = "1") -> list[str]:
    with pytest.raises(PromptRefusedError) as caught:
        validate(prompt, TYPES, max_nodes=50)
    assert caught.value.error_type == "prompt_outputs_failed_validation"
    entry = caught.value.node_errors[node]
    assert entry["dependent_outputs"] == ["9"]
    for error in entry["errors"]:
        assert set(error) == {"type", "message", "details", "extra_info"}
    return [error["type"] for error in entry["errors"]]


def test_a_good_prompt() -> None:
    """A good prompt is accepted with its values converted, and the caller's copy untouched."""
    prompt = prompt_with(count="7", share="0.25", name=5, flag=0)
    before = copy.deepcopy(prompt)
    found = validate(prompt, TYPES, max_nodes=50)
    assert found.outputs == ["9"]
    assert found.node_errors == {}
    inputs = found.prompt["1"]["inputs"]
    assert [inputs[n] for n in ("count", "share", "name", "flag")] == [7, 0.25, "5", False]
    assert prompt == before


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"count": 0}, "value_smaller_than_min"),
        ({"count": 11}, "value_bigger_than_max"),
        ({"count": "x"}, "invalid_input_type"),
        ({"count": None}, "invalid_input_type"),
        ({"count": {}}, "invalid_input_type"),
        ({"count": float("inf")}, "invalid_input_type"),
        ({"count": "9" * 5000}, "invalid_input_type"),
        ({"count": "9" * 30}, "invalid_input_type"),
        ({"share": "nan"}, "invalid_input_type"),
        ({"share": -0.1}, "value_smaller_than_min"),
        ({"choice": "c"}, "value_not_in_list"),
        ({"choice": None}, "value_not_in_list"),
        ({"choice": {}}, "value_not_in_list"),
        ({"choice": {"__value__": ["a"]}}, "value_not_in_list"),
        ({"more": ["1"]}, "bad_linked_input"),
        ({"more": ["1", 0, 0]}, "bad_linked_input"),
        ({"more": [1, 0]}, "bad_linked_input"),
        ({"more": ["1", "0"]}, "bad_linked_input"),
        ({"more": ["1", True]}, "bad_linked_input"),
        ({"more": ["nobody", 0]}, "bad_linked_input"),
        ({"more": ["2", 2]}, "bad_linked_input"),
        ({"more": ["2", -1]}, "bad_linked_input"),
        ({"more": ["2", 1]}, "return_type_mismatch"),
        ({"count": ["2", 0]}, "return_type_mismatch"),
        ({"choice": ["2", 0]}, "return_type_mismatch"),
        ({"more": ["1", 0]}, "dependency_cycle"),
    ],
)
def test_one_wrong_input(inputs: dict[str, Any], expected: str) -> None:
    """Each wrong input has its error, and the prompt is refused."""
    prompt = prompt_with(**inputs)
    prompt["2"] = copy.deepcopy(GOOD["1"])
    assert errors_of(prompt) == [expected]


def test_types_that_fit() -> None:
    """A star fits everything, a union fits its members."""
    prompt = prompt_with(any=["2", 1], either=["2", 1])
    prompt["2"] = copy.deepcopy(GOOD["1"])
    assert validate(prompt, TYPES, max_nodes=50).node_errors == {}


def test_missing_inputs_are_all_named() -> None:
    """Every missing required input is told, not only the first."""
    prompt = copy.deepcopy(GOOD)
    prompt["1"]["inputs"] = {"count": 1}
    assert errors_of(prompt) == ["required_input_missing"] * 4


def test_custom_validation() -> None:
    """VALIDATE_INPUTS replaces the limits of what it names, may refuse and may fail."""
    prompt = prompt_with(count=7)
    prompt["1"]["class_type"] = "Picky"
    assert errors_of(prompt) == ["custom_validation_failed"]
    prompt["1"]["inputs"]["count"] = 13
    assert errors_of(prompt) == ["exception_during_validation"]
    prompt["1"]["inputs"].update(count=-5, more=["2", 0])
    prompt["2"] = copy.deepcopy(GOOD["1"])
    assert validate(prompt, TYPES, max_nodes=50).outputs == ["9"]
    assert Picky.seen[-1] == {"count": -5, "more": None}


def test_long_cycles_and_chains() -> None:
    """A cycle of hundreds of nodes is found, a chain of hundreds is fine; nothing recurses."""
    chain: dict[str, Any] = {
        str(i): {
            "class_type": "Source",
            "inputs": {**GOOD["1"]["inputs"], **({"more": [str(i - 1), 0]} if i else {})},
        }
        for i in range(2000)
    }
    sink = {"class_type": "Sink", "inputs": {"images": ["1999", 0]}}
    assert validate({**chain, "s": sink}, TYPES, max_nodes=5000).outputs == ["s"]
    chain["0"]["inputs"]["more"] = ["1999", 0]
    with pytest.raises(PromptRefusedError) as caught:
        validate({**chain, "s": sink}, TYPES, max_nodes=5000)
    types = {e["type"] for entry in caught.value.node_errors.values() for e in entry["errors"]}
    assert types == {"dependency_cycle"}


@pytest.mark.parametrize(
    ("prompt", "error_type"),
    [
        (None, "no_prompt"),
        ({}, "no_prompt"),
        ([], "no_prompt"),
        ({"1": None}, "invalid_prompt"),
        ({"1": {}}, "invalid_prompt"),
        ({"1": {"class_type": 5}}, "invalid_prompt"),
        ({"1": {"class_type": "Nobody"}}, "invalid_prompt"),
        ({"1": {"class_type": "Sink", "inputs": []}}, "invalid_prompt"),
        ({"1": {"class_type": "Source"}}, "prompt_no_outputs"),
        ({str(i): {"class_type": "Sink"} for i in range(51)}, "invalid_prompt"),
    ],
)
def test_prompts_that_are_none(prompt: object, error_type: str) -> None:
    """What is no prompt at all is refused with ComfyUI's type."""
    with pytest.raises(PromptRefusedError) as caught:
        validate(prompt, TYPES, max_nodes=50)
    assert caught.value.error_type == error_type


def test_good_and_bad_outputs() -> None:
    """The good output runs; the bad one's errors say which outputs depend on them."""
    prompt = prompt_with()
    prompt["2"] = copy.deepcopy(GOOD["1"])
    prompt["2"]["inputs"]["count"] = 99
    prompt["8"] = {"class_type": "Sink", "inputs": {"images": ["2", 0]}}
    found = validate(prompt, TYPES, max_nodes=50)
    assert found.outputs == ["9"]
    assert found.node_errors["2"]["dependent_outputs"] == ["8"]
    assert found.node_errors["2"]["class_type"] == "Source"


def test_what_strangers_write_is_capped() -> None:
    """A megabyte of text in a value does not come back in the answer."""
    with pytest.raises(PromptRefusedError) as caught:
        validate(prompt_with(choice="x" * 1_000_000), TYPES, max_nodes=50)
    assert len(str(caught.value.node_errors)) < 2000
    assert len(caught.value.details) <= 2000


@pytest.mark.parametrize(
    "cls",
    [
        object(),
        type("NoInputs", (), {"RETURN_TYPES": (), "FUNCTION": "run"}),
        type("NoFunction", (Sink,), {"FUNCTION": "walk"}),
        type("BadSpec", (Sink,), {"INPUT_TYPES": staticmethod(lambda: {"required": {"x": 5}})}),
        type("BadLists", (Sink,), {"OUTPUT_IS_LIST": (True,)}),
    ],
)
def test_classes_that_are_no_nodes(cls: object) -> None:
    """A class that breaks the protocol is refused with what is wrong."""
    with pytest.raises(NodeClassError):
        read_node_type("x", cls)
