"""The nodes themselves: pictures in, pictures out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddcolor_service.models import DEMO_NAME
from ddcolor_service.nodes.colorize import fitting_size, size_notices
from ddcolor_service.nodes.transform import METHODS, ImageInvert, center_crop, resize
from tests.support.service import (
    Harness,
    encoded,
    error_of,
    notices_of,
    picture,
    running_service,
    workflow,
)


async def saved(service: Harness, entry: dict[str, Any], node: str = "3") -> Any:
    image = entry["outputs"][node]["images"][0]
    response = await service.client.get("/view", params=image)
    return np.asarray(Image.open(io.BytesIO(await response.read())))


async def test_mask_is_where_the_photo_is_transparent(service: Harness) -> None:
    """LoadImage's mask is 1 where the photo is transparent, and empty without transparency."""
    half = picture().convert("RGBA")
    half.paste((0, 0, 0, 0), (0, 0, 32, 48))
    await service.upload(encoded(half), "half.png")
    await service.upload(encoded(), "whole.png")
    loader = service.service.types["LoadImage"].cls()
    pixels, mask = loader.load_image("half.png")
    assert pixels.shape == (1, 48, 64, 3)
    assert mask.shape == (1, 48, 64)
    assert float(mask[0, :, :32].min()) == 1.0
    assert float(mask[0, :, 32:].max()) == 0.0
    assert loader.load_image("whole.png")[1].shape == (1, 64, 64)


async def test_outputs_can_be_inputs(with_photo: Harness) -> None:
    """A saved picture is loaded again by its annotated name."""
    name = (await with_photo.run(workflow()))["outputs"]["3"]["images"][0]["filename"]
    entry = await with_photo.run(workflow(f"{name} [output]"))
    assert entry["status"]["status_str"] == "success"


async def test_a_chain_of_all_nodes(with_photo: Harness) -> None:
    """Scaling, inverting and saving work one after the other on the same picture."""
    prompt: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {
            "class_type": "ImageScaleBy",
            "inputs": {"image": ["2", 0], "upscale_method": "bilinear", "scale_by": 0.5},
        },
        "4": {
            "class_type": "ImageScale",
            "inputs": {
                "image": ["3", 0],
                "upscale_method": "lanczos",
                "width": 20,
                "height": 0,
                "crop": "disabled",
            },
        },
        "5": {
            "class_type": "SaveImage",
            "inputs": {"images": ["4", 0], "filename_prefix": "a/%year%/x_%width%x%height%"},
        },
    }
    entry = await with_photo.run(prompt)
    assert (await saved(with_photo, entry, "5")).shape == (15, 20, 3)
    image = entry["outputs"]["5"]["images"][0]
    assert image["subfolder"].startswith("a/20")
    assert image["filename"] == "x_20x15_00001_.png"


@pytest.mark.parametrize("method", METHODS)
def test_resize(method: str) -> None:
    """Every method keeps a batch's layout and its range."""
    batch = torch.rand(2, 10, 14, 3)
    found = resize(batch, 7, 21, method)
    assert found.shape == (2, 21, 7, 3)
    assert 0.0 <= float(found.min()) <= float(found.max()) <= 1.0


def test_invert_and_crop() -> None:
    """Inverting twice is nothing; the centre crop keeps the middle."""
    batch = torch.rand(1, 10, 20, 3)
    (once,) = ImageInvert().invert(batch)
    assert torch.allclose(ImageInvert().invert(once)[0], batch, atol=1e-6)
    assert center_crop(batch, 1.0).shape == (1, 10, 10, 3)
    assert torch.equal(center_crop(batch, 1.0), batch[:, :, 5:15])
    assert center_crop(batch, 4.0).shape == (1, 5, 20, 3)


async def test_scaling_over_the_limit(tmp_path: Path) -> None:
    """A workflow that scales a photo beyond the pixel limit fails instead of filling the memory."""
    async with running_service(tmp_path, max_pixels=100_000) as service:
        await service.upload(encoded())
        prompt = {
            "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
            "2": {
                "class_type": "ImageScaleBy",
                "inputs": {"image": ["1", 0], "upscale_method": "area", "scale_by": 8.0},
            },
            "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
        }
        assert error_of(await service.run(prompt))["kind"] == "image_too_large"


async def test_save_refuses_to_leave_its_folder(with_photo: Harness) -> None:
    """A prefix that leads out of the output folder fails the node and writes nothing."""
    prompt = workflow()
    prompt["3"]["inputs"]["filename_prefix"] = "../../evil"
    error = error_of(await with_photo.run(prompt))
    assert error["node_type"] == "SaveImage"
    assert not list(with_photo.service.folders.root.parent.glob("**/evil*"))


async def test_workflow_in_the_png_only_when_asked(with_photo: Harness, tmp_path: Path) -> None:
    """A saved picture holds the workflow only if the setting says so."""
    entry = await with_photo.run(workflow())
    name = entry["outputs"]["3"]["images"][0]["filename"]
    saved_file = with_photo.service.folders.base("output") / name
    assert not getattr(Image.open(saved_file), "text", {})


async def test_embedded_workflow(tmp_path: Path) -> None:
    """With embed_workflow the PNG carries the prompt and the page's extra information."""
    async with running_service(tmp_path, embed_workflow=True) as service:
        await service.upload(encoded())
        extra: dict[str, Any] = {"extra_pnginfo": {"workflow": {"nodes": []}}}
        entry = await service.run(workflow(), extra_data=extra)
        name = entry["outputs"]["3"]["images"][0]["filename"]
        texts = Image.open(service.service.folders.base("output") / name).text  # type: ignore[attr-defined]
    assert json.loads(texts["prompt"])["1"]["class_type"] == "LoadImage"
    assert json.loads(texts["workflow"]) == {"nodes": []}


@pytest.mark.parametrize(
    ("asked", "used"),
    [(512, 512), (460, 480), (680, 672), (500, 512), (33, 32), (40, 32), (49, 64), (970, 960)],
)
def test_fitting_size(asked: int, used: int) -> None:
    """A size becomes the next multiple of 32, inside the advice that is passed on."""
    assert fitting_size(asked) == used


@pytest.mark.parametrize(
    ("size", "side", "scenario", "count"),
    [
        (512, 800, "person", 0),
        (960, 800, "building", 0),
        (960, 800, None, 0),
        (960, 800, "person", 1),
        (512, 2500, "person", 1),
        (128, 2500, None, 2),
    ],
)
def test_size_notices(size: int, side: int, scenario: str | None, count: int) -> None:
    """Only what is against the advice is said."""
    assert len(size_notices(size, size, side, scenario)) == count


async def test_size_is_rounded_with_a_notice(with_photo: Harness) -> None:
    """A size that fits no network is rounded, and client and log hear of it once, at level 1."""
    entry = await with_photo.run(workflow(size=460), extra_data={"scenario": "person"})
    assert with_photo.models.model.sizes == [480]
    assert notices_of(entry) == [("size_rounded", {"asked": 460, "step": 32, "used": 480})]
    assert set(entry["outputs"]) == {"3"}
    (record,) = await with_photo.record("ddcolor.size.advice")
    assert record["message"] == (
        "Size outside the advice: 460 px is no multiple of 32, 480 px is used"
    )
    assert (record["comfyui.error.kind"], record["comfyui.error.level"]) == ("size_advice", 1)
    assert record["comfyui.prompt.id"]


async def test_size_is_refused_by_setting(tmp_path: Path) -> None:
    """With size_policy refuse such a prompt is a 400 that names a size that fits."""
    async with running_service(tmp_path, size_policy="refuse") as service:
        await service.upload(encoded())
        status, answer = await service.post("/prompt", {"prompt": workflow(size=460)})
        assert status == 400
        (error,) = answer["node_errors"]["2"]["errors"]
        assert error["type"] == "custom_validation_failed"
        assert "480" in error["details"]


@pytest.mark.parametrize("size", [0, 31, 4097, -5])
async def test_sizes_out_of_range(with_photo: Harness, size: int) -> None:
    """A size below 32 or above 4096 is refused before it is queued."""
    status, answer = await with_photo.post("/prompt", {"prompt": workflow(size=size)})
    assert status == 400
    assert answer["node_errors"]["2"]["class_type"] == "DDColor_Colorize"


async def test_object_info(with_photo: Harness) -> None:
    """Each node is described with ComfyUI's fields; uploads of others are not listed."""
    _, info = await with_photo.get("/object_info")
    assert {"LoadImage", "DDColor_Colorize", "SaveImage", "PreviewImage"} <= set(info)
    for name, entry in info.items():
        assert entry["name"] == name
        assert entry["input_order"]["required"] == list(entry["input"]["required"])
        assert len(entry["output"]) == len(entry["output_is_list"]) == len(entry["output_name"])
    assert info["LoadImage"]["input"]["required"]["image"] == [[], {"image_upload": True}]
    checkpoint = info["DDColor_Colorize"]["input"]["required"]["checkpoint"]
    assert "ddcolor_demo.pth" in checkpoint[0]
    assert checkpoint[1] == {"default": "ddcolor_demo.pth"}
    assert info["SaveImage"]["output_node"] is True
    assert await with_photo.get("/object_info/Nobody") == (200, {})


async def test_model_facts_on_the_span(with_photo: Harness) -> None:
    """The node's span and log line say which checkpoint worked, where and at which size."""
    await with_photo.run(workflow())
    await with_photo.record("comfyui.prompt.finished")
    (record,) = [
        r
        for r in with_photo.records("comfyui.node.finished")
        if r["comfyui.node.class_type"] == "DDColor_Colorize"
    ]
    attributes = with_photo.span("node DDColor_Colorize").attributes
    assert attributes is not None
    for name, value in {
        "ddcolor.model.name": "ddcolor_demo.pth",
        "ddcolor.model.variant": "demo",
        "ddcolor.model.sha256": "a" * 16,
        "ddcolor.model.input_size": 512,
        "ddcolor.device": "cpu",
        "ddcolor.image.width": 64,
        "ddcolor.image.height": 48,
    }.items():
        assert record[name] == value, name
        assert attributes[name] == value, name
    assert attributes["ddcolor.inference.duration_s"] >= 0  # type: ignore[operator]
    assert len(await with_photo.record("ddcolor.model.loaded")) == 1


async def test_the_sizes_of_a_photo_that_failed_are_told(with_photo: Harness) -> None:
    """Which sizes fail is known, though the photo never went through the network."""
    await with_photo.arm("out_of_memory")
    await with_photo.run(workflow(size=480))
    await with_photo.record("comfyui.prompt.finished")
    (record,) = [
        r
        for r in with_photo.records("comfyui.node.finished")
        if r.get("comfyui.error.kind") == "out_of_memory"
    ]

    assert record["ddcolor.image.width"] == 64
    assert record["ddcolor.image.height"] == 48
    assert record["ddcolor.model.input_size"] == 480


async def test_a_batch_is_coloured_in_the_device_s_portions(
    with_photo: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many photos as fill the device go through the network at once, and none is lost."""
    monkeypatch.setattr("ddcolor_service.nodes.colorize.batch_size", lambda _: 2)
    batches: list[int] = []

    def work(image: Any, size: int) -> Any:
        batches.append(len(image))
        return image * np.array([1.0, 0.5, 0.0], np.float32)

    with_photo.models.model.work = work
    photos = torch.rand(5, 16, 16, 3)
    node = with_photo.service.types["DDColor_Colorize"].cls()
    (coloured,) = node.colorize(photos, 512, DEMO_NAME)
    assert batches == [2, 2, 1]
    torch.testing.assert_close(coloured, photos * torch.tensor([1.0, 0.5, 0.0]))
