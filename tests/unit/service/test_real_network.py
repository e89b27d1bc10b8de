"""The service around the real network (demo size, random weights): no stub anywhere."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_service.models import ModelRegistry
from ddcolor_service.network import DEMO, DDColor
from tests.support.service import (
    ADMIN,
    Harness,
    encoded,
    error_of,
    picture,
    running_service,
    workflow,
)

NAME = "own.pth"


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Return the weights of an untrained network."""
    torch.manual_seed(0)
    return DDColor(DEMO).state_dict()


@pytest.fixture
async def real(tmp_path: Path, weights: dict[str, torch.Tensor]) -> AsyncIterator[Harness]:
    """Return a service that finds the weights in its model folder and holds ``photo.png``."""
    folder = tmp_path / "models"
    folder.mkdir()
    torch.save({"params": weights}, folder / NAME)
    registry = ModelRegistry([folder], "cpu")
    async with running_service(tmp_path, registry=registry) as service:
        await service.upload(encoded())
        yield service


async def test_a_photo_keeps_its_lightness(real: Harness) -> None:
    """The restored picture has the photo's size and lightness; the span knows the checkpoint."""
    entry = await real.run(workflow(size=64, checkpoint=NAME))
    assert entry["status"]["status_str"] == "success"
    response = await real.client.get("/view", params=entry["outputs"]["3"]["images"][0])
    restored = Image.open(io.BytesIO(await response.read()))
    before = np.asarray(picture().convert("L"), dtype=float)
    after = np.asarray(restored.convert("L"), dtype=float)
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.95
    attributes = real.span("node DDColor_Colorize").attributes
    assert attributes is not None
    assert attributes["ddcolor.model.variant"] == "demo"
    assert len(str(attributes["ddcolor.model.sha256"])) == 16


async def test_an_interrupt_reaches_into_the_network(
    real: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt takes effect inside a forward pass, before its end."""
    inside, go_on = threading.Event(), threading.Event()
    plain = DDColor.forward

    def slow(self: DDColor, x: torch.Tensor) -> torch.Tensor:
        inside.set()
        assert go_on.wait(20)
        return plain(self, x)

    monkeypatch.setattr(DDColor, "forward", slow)
    prompt_id = await real.queue(workflow(size=64, checkpoint=NAME))
    while not inside.is_set():
        await real.get("/queue")
    await real.post("/interrupt", {})
    go_on.set()
    entry = await real.finished(prompt_id)
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_a_broken_checkpoint_and_its_repair(
    real: Harness, weights: dict[str, torch.Tensor]
) -> None:
    """A broken file fails its node; a whole one in its place works without a restart."""
    folder = real.service.folders.root.parent / "models"
    (folder / "bad.pth").write_bytes(b"no checkpoint")
    error = error_of(await real.run(workflow(size=64, checkpoint="bad.pth")))
    assert error["kind"] == "model_not_loaded"
    assert str(folder) not in str(error)
    torch.save(weights, folder / "bad.pth")
    entry = await real.run(workflow(size=64, checkpoint="bad.pth"))
    assert entry["status"]["status_str"] == "success"


async def test_a_change_of_the_checkpoint(real: Harness, weights: dict[str, torch.Tensor]) -> None:
    """A new file works at once, for cached photos too; a broken one is said once and shown."""
    folder = real.service.folders.root.parent / "models"
    same = workflow(size=64, checkpoint=NAME)
    first = await real.run(same)
    tinted = {**weights, "refine_net.0.0.bias": torch.tensor([40.0, -40.0])}
    torch.save(tinted, folder / "new")
    (folder / "new").replace(folder / NAME)
    second = await real.run(same)
    loads = [span for span in real.spans.get_finished_spans() if span.name == "load model"]
    assert len(loads) == 2
    assert second["outputs"] != first["outputs"]
    assert dict(second["status"]["messages"])["execution_cached"]["nodes"] == ["1"]
    (folder / NAME).write_bytes(b"no checkpoint")
    for size in (64, 96):
        entry = await real.run(workflow(size=size, checkpoint=NAME))
        assert entry["status"]["status_str"] == "success"
    (record,) = await real.record("ddcolor.model.refused")
    kind = CATALOGUE["model_not_loaded"]
    assert record["message"].startswith(f"{kind.keyword}: ")
    assert record["comfyui.error.kind"] == kind.name
    assert record["comfyui.error.level"] == kind.level
    assert record["ddcolor.model.name"] == NAME
    assert str(folder) not in str(record)
    _, answer = await real.get("/admin/models", headers=ADMIN)
    (row,) = [row for row in answer["models"] if row["name"] == NAME]
    assert (row["loaded"], "damaged" in row["problem"]) == (True, True)
    status, answer = await real.post("/admin/models/reload", {"name": NAME}, headers=ADMIN)
    assert (status, answer["error"]["extra_info"]["kind"]) == (409, "model_not_loaded")
    assert len(real.records("ddcolor.model.refused")) == 1


async def test_a_checkpoint_that_vanishes(real: Harness) -> None:
    """A checkpoint that was listed when the prompt came and is gone when it runs fails the node."""
    await real.arm("slow_inference", seconds=60)
    blocker = await real.queue(workflow(size=64, checkpoint=NAME))
    await real.running(blocker)
    folder = real.service.folders.root.parent / "models"
    (folder / NAME).rename(folder / "other.pth")
    prompt_id = await real.queue(workflow(size=96, checkpoint="other.pth"))
    (folder / "other.pth").unlink()
    await real.post("/interrupt", {})
    error = error_of(await real.finished(prompt_id))
    assert (error["kind"], error["node_type"]) == ("model_not_loaded", "DDColor_Colorize")
