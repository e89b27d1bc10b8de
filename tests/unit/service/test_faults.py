"""Faults: injected for real, classified, recorded once, and over when they are over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_telemetry.catalogue import CATALOGUE
from tests.support.service import (
    ADMIN,
    Harness,
    encoded,
    error_of,
    notices_of,
    running_service,
    workflow,
)


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("out_of_memory", "out_of_memory", "DefaultCPUAllocator"),
        ("missing_checkpoint", "model_not_loaded", "no such file"),
        ("execution_error", "execution_error", "Sizes of tensors must match"),
        ("output_damaged", "output_damaged", "all black"),
    ],
)
async def test_injected_fault(with_photo: Harness, fault: str, kind: str, text: str) -> None:
    """An armed fault fails the node with its kind, says its keyword once, and happens once."""
    await with_photo.arm(fault)
    entry = await with_photo.run(workflow())
    error = error_of(entry)
    assert entry["status"]["status_str"] == "error"
    assert error["kind"] == kind
    assert text in error["exception_message"]
    assert error["action"]["zh"]
    await with_photo.record("comfyui.prompt.finished")
    keyword = CATALOGUE[kind].keyword
    saying = [r for r in with_photo.records() if r["message"].startswith(keyword)]
    assert len(saying) == 1
    assert saying[0]["event.name"] == "comfyui.node.finished"
    assert saying[0]["comfyui.error.kind"] == kind
    assert saying[0]["comfyui.node.class_type"] == "DDColor_Colorize"
    assert with_photo.span("node DDColor_Colorize").status.is_ok is False
    assert (await with_photo.get("/admin/faults", headers=ADMIN))[1] == {"armed": []}
    assert (await with_photo.run(workflow()))["status"]["status_str"] == "success"


async def test_out_of_memory_frees_models_and_cache(with_photo: Harness) -> None:
    """When memory runs out, the models and the cached outputs are let go."""
    await with_photo.run(workflow())
    await with_photo.arm("out_of_memory")
    await with_photo.run(workflow(size=480))
    assert with_photo.models.unloads == 1
    entry = await with_photo.run(workflow())
    assert dict(entry["status"]["messages"])["execution_cached"]["nodes"] == []


async def test_out_of_memory_retried_smaller(tmp_path: Path) -> None:
    """With oom_retry the photo is restored at a smaller size, and that is said."""

    def work(image: Any, size: int) -> Any:
        if size > 800:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return image * np.float32(0.9)

    async with running_service(tmp_path, oom_retry=True) as service:
        service.models.model.work = work
        await service.upload(encoded())
        entry = await service.run(workflow(size=960))
        assert entry["status"]["status_str"] == "success"
        assert service.models.model.sizes == [960, 704]
        assert notices_of(entry)[-1] == ("retried_smaller", {"asked": 960, "used": 704})


async def test_slow_inference_is_said_while_it_runs(tmp_path: Path) -> None:
    """A node over the time limit is reported slow while it still runs, and then ends well."""
    async with running_service(tmp_path, time_limit_s=0.2) as service:
        await service.upload(encoded())
        await service.arm("slow_inference", seconds=60)
        prompt_id = await service.queue(workflow())
        (record,) = await service.record("comfyui.node.slow")
        assert record["message"].startswith("Inference timeout")
        assert (await service.get(f"/history/{prompt_id}"))[1] == {}
        await service.post("/interrupt", {})
        await service.finished(prompt_id)


async def test_hard_limits_stop_a_node(tmp_path: Path) -> None:
    """A node over the hard limit is stopped, and that is a failure, not an interrupt."""
    async with running_service(tmp_path, node_hard_limit_s=0.3) as service:
        await service.upload(encoded())
        await service.arm("slow_inference", seconds=60)
        error = error_of(await service.run(workflow()))
        assert error["kind"] == "execution_error"
        assert "longer than 0.3 s" in error["exception_message"]


async def test_arming_lists_counts_and_clears(service: Harness) -> None:
    """Faults are armed with counts, listed, replaced and cleared."""
    await service.arm("out_of_memory", count=3)
    await service.arm("slow_inference", seconds=2.5)
    await service.arm("out_of_memory", count=2)
    _, listed = await service.get("/admin/faults", headers=ADMIN)
    assert listed == {
        "armed": [
            {"kind": "out_of_memory", "count": 2},
            {"kind": "slow_inference", "count": 1, "seconds": 2.5},
        ]
    }
    response = await service.client.delete("/admin/faults", headers=ADMIN)
    assert await response.json() == {"armed": []}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"kind": "meteor"},
        {"kind": "out_of_memory", "count": 0},
        {"kind": "out_of_memory", "count": True},
        {"kind": "out_of_memory", "count": 1.5},
        {"kind": "out_of_memory", "seconds": 3},
        {"kind": "slow_inference", "seconds": -1},
        {"kind": "slow_inference", "seconds": 1e9},
        {"kind": "slow_inference", "seconds": "3"},
        {"kind": "out_of_memory", "path": "/"},
    ],
)
async def test_wrong_fault_bodies(service: Harness, body: Any) -> None:
    """A fault that makes no sense is a 400 and arms nothing."""
    assert (await service.post("/admin/faults", body, headers=ADMIN))[0] == 400
    assert service.service.faults.armed() == []


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic 0123456789abcdef-admin", "Bearer ümlaut"]
)
async def test_admin_needs_the_token(service: Harness, header: str | None) -> None:
    """Without the right token every admin route is 401 and does nothing."""
    headers = {} if header is None else {"Authorization": header}
    for method, path in (
        ("GET", "/admin/faults"),
        ("POST", "/admin/faults"),
        ("DELETE", "/admin/faults"),
        ("GET", "/admin/models"),
        ("POST", "/api/admin/models/reload"),
    ):
        response = await service.client.request(
            method, path, json={"kind": "out_of_memory"}, headers=headers
        )
        assert response.status == 401, path
    assert service.service.faults.armed() == []


async def test_faults_are_off_by_default(tmp_path: Path) -> None:
    """Without the setting even the admin cannot arm a fault."""
    async with running_service(tmp_path, fault_injection=False) as service:
        status, answer = await service.post(
            "/admin/faults", {"kind": "out_of_memory"}, headers=ADMIN
        )
        assert status == 403
        assert "--fault-injection" in answer["error"]["details"]
    async with running_service(tmp_path / "b", fault_injection=False, admin_token=None) as service:
        assert (await service.get("/admin/models", headers=ADMIN))[0] == 403


async def test_models_are_listed_and_reloaded(with_photo: Harness) -> None:
    """The operator sees which checkpoints are there and loaded, and loads one again."""
    await with_photo.run(workflow())
    _, listed = await with_photo.get("/admin/models", headers=ADMIN)
    rows = {row["name"]: row for row in listed["models"]}
    assert rows["ddcolor_demo.pth"]["loaded"] is True
    assert rows["ddcolor_demo.pth"]["sha256"] == "a" * 64
    assert rows["ddcolor_modelscope.pth"] == {
        "name": "ddcolor_modelscope.pth",
        "available": False,
        "loaded": False,
    }
    status, answer = await with_photo.post("/admin/models/reload", {}, headers=ADMIN)
    assert (status, [m["name"] for m in answer["reloaded"]]) == (200, ["ddcolor_demo.pth"])
    status, answer = await with_photo.post(
        "/admin/models/reload", {"name": "ddcolor_paper.pth"}, headers=ADMIN
    )
    assert status == 409
    assert answer["error"]["extra_info"]["kind"] == "model_not_loaded"
    status, _ = await with_photo.post("/admin/models/reload", {"name": "no"}, headers=ADMIN)
    assert status == 404


async def test_listed_checkpoint_without_file(with_photo: Harness) -> None:
    """A listed checkpoint whose file is missing fails in its node; an unlisted one is a 400."""
    error = error_of(await with_photo.run(workflow(checkpoint="ddcolor_modelscope.pth")))
    assert error["kind"] == "model_not_loaded"
    status, answer = await with_photo.post("/prompt", {"prompt": workflow(checkpoint="no.pth")})
    assert status == 400
    assert answer["node_errors"]["2"]["errors"][0]["type"] == "value_not_in_list"


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (lambda image, _: image * np.float32("nan"), "NaN"),
        (lambda image, _: image * 0, "all black"),
        (lambda image, _: image * 0 + np.float32(0.5), "one colour"),
        (lambda image, _: image[:, :10], "shape"),
    ],
)
async def test_damaged_outputs(with_photo: Harness, work: Any, text: str) -> None:
    """What the model spoils is found before it is saved."""
    with_photo.models.model.work = work
    error = error_of(await with_photo.run(workflow()))
    assert error["kind"] == "output_damaged"
    assert text in error["exception_message"]


async def test_a_black_photo_stays_black(service: Harness) -> None:
    """A photo that was black or grey all over before is not damaged."""
    from PIL import Image

    for name, level in (("black.png", 0), ("grey.png", 128)):
        await service.upload(encoded(Image.new("L", (32, 32), level)), name)
        assert (await service.run(workflow(name)))["status"]["status_str"] == "success"


async def test_photo_that_vanishes_after_the_check(with_photo: Harness) -> None:
    """A photo that is gone when its turn comes fails in LoadImage as undecodable."""
    await with_photo.arm("slow_inference", seconds=60)
    await with_photo.upload(encoded(), "gone.png")
    blocker = await with_photo.queue(workflow())
    await with_photo.running(blocker)
    prompt_id = await with_photo.queue(workflow("gone.png"))
    (with_photo.service.folders.base("input") / "gone.png").unlink()
    await with_photo.post("/interrupt", {})
    error = error_of(await with_photo.finished(prompt_id))
    assert (error["node_type"], error["kind"]) == ("LoadImage", "decode_failed")
