"""UI-format workflows: the shipped ones, the odd ones, and those that cannot be converted."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from ddcolor_service.ui_format import api_form
from ddcolor_service.validation import PromptRefusedError
from tests.support.service import Harness

FILES = {"person": "DDColor人物黑白修复", "building": "DDColor建筑黑白修复"}
SIZES = {"person": 512, "building": 960}


def shipped(name: str) -> dict[str, Any]:
    text = (resources.files("ddcolor_service") / "workflows" / f"{name}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("scenario", ["person", "building"])
async def test_shipped_workflows(with_photo: Harness, scenario: str) -> None:
    """Both forms of both workflows are the same prompt, and both restore a photo."""
    api, ui = shipped(scenario), shipped(FILES[scenario])
    converted = api_form(ui, with_photo.service.types)
    assert converted == {
        k: {n: v for n, v in node.items() if n != "_meta"} for k, node in api.items()
    }
    assert api["2"]["inputs"]["model_input_size"] == SIZES[scenario]
    assert (await with_photo.run(api))["status"]["completed"] is True
    assert (await with_photo.run(ui))["status"]["completed"] is True
    assert with_photo.models.model.sizes == [SIZES[scenario]]


async def test_a_whole_file_as_the_body(with_photo: Harness) -> None:
    """A workflow file that is posted as it is runs, too."""
    status, answer = await with_photo.post("/prompt", shipped(FILES["person"]))
    assert status == 200
    await with_photo.finished(answer["prompt_id"])


def workflow_of(*nodes: dict[str, Any], links: list[Any] | None = None) -> dict[str, Any]:
    return {"nodes": list(nodes), "links": links or []}


LOAD = {"id": 1, "type": "LoadImage", "widgets_values": ["photo.png", "image"]}


async def test_reroutes_bypassed_and_muted_nodes(service: Harness) -> None:
    """Links lead through reroutes and bypassed nodes; muted nodes and notes are left out."""
    workflow = workflow_of(
        LOAD,
        {"id": 2, "type": "Reroute", "inputs": [{"link": 1}], "outputs": [{"type": "*"}]},
        {
            "id": 3,
            "type": "ImageInvert",
            "mode": 4,
            "inputs": [{"name": "image", "type": "IMAGE", "link": 2}],
            "outputs": [{"type": "IMAGE"}],
        },
        {"id": 4, "type": "PreviewImage", "inputs": [{"name": "images", "link": 3}]},
        {"id": 5, "type": "PreviewImage", "mode": 2, "inputs": [{"name": "images", "link": 3}]},
        {"id": 6, "type": "Note", "widgets_values": ["hello"]},
        links=[
            [1, 1, 0, 2, 0, "IMAGE"],
            {"id": 2, "origin_id": 2, "origin_slot": 0, "target_id": 3, "target_slot": 0},
            [3, 3, 0, 4, 0, "IMAGE"],
        ],
    )
    assert api_form(workflow, service.service.types) == {
        "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


async def test_widgets_by_name_and_primitives(service: Harness) -> None:
    """Widget values may be an object, and a primitive node's value becomes the input."""
    workflow = workflow_of(
        LOAD,
        {"id": 7, "type": "PrimitiveNode", "widgets_values": [640, "fixed"]},
        {
            "id": 2,
            "type": "DDColor_Colorize",
            "inputs": [
                {"name": "image", "link": 1},
                {"name": "model_input_size", "link": 2, "widget": {"name": "model_input_size"}},
            ],
            "widgets_values": {"model_input_size": 512, "checkpoint": "c.pth", "extra": 1},
        },
        links=[[1, 1, 0, 2, 0, "IMAGE"], [2, 7, 0, 2, 1, "INT"]],
    )
    found = api_form(workflow, service.service.types)
    assert isinstance(found, dict)
    assert found["2"]["inputs"] == {
        "image": ["1", 0],
        "model_input_size": 640,
        "checkpoint": "c.pth",
    }


@pytest.mark.parametrize(
    ("workflow", "named"),
    [
        (workflow_of({"id": 3, "type": "Nobody"}), "#3"),
        (workflow_of({"type": "LoadImage"}), "no id"),
        (workflow_of(LOAD, links=[5]), "link"),
        (workflow_of(LOAD, links=[[1, 1]]), "link"),
        (workflow_of({**LOAD, "inputs": [{"name": "image", "link": 9}]}), "#1"),
        (workflow_of({**LOAD, "inputs": [{"name": "image", "link": [9]}]}), "#1"),
        (workflow_of({**LOAD, "inputs": ["x"]}), "#1"),
        (workflow_of({**LOAD, "widgets_values": "x"}), "#1"),
        (
            workflow_of(
                {"id": 4, "type": "PreviewImage", "inputs": [{"name": "images", "link": 1}]},
                {"id": 5, "type": "Reroute", "inputs": [{"link": 1}]},
                links=[[1, 5, 0, 5, 0, "*"]],
            ),
            "#4",
        ),
        (workflow_of(), "no outputs"),
    ],
)
async def test_what_cannot_be_converted(
    service: Harness, workflow: dict[str, Any], named: str
) -> None:
    """A workflow that cannot be converted is refused, and the refusal says at which node."""
    with pytest.raises(PromptRefusedError) as caught:
        api_form(workflow, service.service.types)
    assert named in f"{caught.value.message} {caught.value.details}"
    status, _ = await service.post("/prompt", {"prompt": workflow})
    assert status == 400
