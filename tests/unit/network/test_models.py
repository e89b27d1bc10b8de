"""The checkpoint registry: finding, loading, refusing, reloading and dropping."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from ddcolor_service.models import (
    DEMO_NAME,
    OFFICIAL,
    LoadedModel,
    ModelNotLoaded,
    ModelRegistry,
    device_of,
)
from tests.support.small_network import SMALL, save_small, small_state

NAME = "ddcolor_paper_tiny.pth"


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """Return a registry over a folder that holds one small checkpoint."""
    save_small(tmp_path / NAME)
    return ModelRegistry([tmp_path], device="cpu")


def test_official_names_are_offered_before_they_are_there(tmp_path: Path) -> None:
    """The four official names and the demo weights can always be asked for; own files join them."""
    save_small(tmp_path / "mine.pth")
    registry = ModelRegistry([tmp_path, tmp_path / "absent"], device="cpu")
    assert registry.names() == [*OFFICIAL, DEMO_NAME, "mine.pth"]
    assert registry.available() == [DEMO_NAME, "mine.pth"]


def test_get_loads_once(registry: ModelRegistry, tmp_path: Path) -> None:
    """The first call loads and says so; the second returns the same network at once."""
    first, second = registry.get(NAME), registry.get(NAME)
    assert (first.loaded_now, second.loaded_now) == (True, False)
    assert first.network is second.network
    assert first.load_seconds > 0
    assert first.sha256 == hashlib.sha256((tmp_path / NAME).read_bytes()).hexdigest()
    assert (first.name, first.variant, first.device) == (NAME, "custom", "cpu")
    assert first.config == SMALL
    assert first.peak_device_bytes() is None
    assert [model.name for model in registry.loaded()] == [NAME]


def test_what_could_not_be_loaded_is_not_usable(registry: ModelRegistry, tmp_path: Path) -> None:
    """A broken file is usable until it was tried, and again once it has been replaced."""
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no checkpoint")
    assert set(registry.usable()) == {NAME, DEMO_NAME, broken.name}
    with pytest.raises(ModelNotLoaded):
        registry.get(broken.name)
    assert set(registry.usable()) == {NAME, DEMO_NAME}
    save_small(tmp_path / "whole.new").replace(broken)
    assert broken.name in registry.usable()
    registry.get(broken.name)
    broken.write_bytes(b"damaged since")
    registry.get(broken.name)
    assert broken.name in registry.usable()


def test_colorize_of_a_loaded_model(registry: ModelRegistry) -> None:
    """A loaded model colours a batch and keeps its shape."""
    picture = np.random.default_rng(0).random((2, 20, 24, 3), dtype=np.float32)
    assert registry.get(NAME).colorize(picture, 64).shape == picture.shape


def test_both_file_layouts_and_half_precision_load(tmp_path: Path) -> None:
    """A bare state dict, one under ``params`` and one in float16 give the same network."""
    state = small_state()
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    torch.save(state, tmp_path / "bare.pth")
    torch.save({"params": state}, tmp_path / "params.pth")
    torch.save({"params": half}, tmp_path / "half.pth")
    registry = ModelRegistry([tmp_path], device="cpu")
    bare, params, stored_half = (
        registry.get(name).network.state_dict() for name in ("bare.pth", "params.pth", "half.pth")
    )
    for key, value in state.items():
        torch.testing.assert_close(bare[key], value)
        torch.testing.assert_close(params[key], value)
        torch.testing.assert_close(stored_half[key], value, atol=2e-2, rtol=2e-3)


def _truncated(path: Path) -> None:
    save_small(path)
    path.write_bytes(path.read_bytes()[:-700])


def _absent(path: Path) -> None:
    assert not path.exists()


def _dropped(path: Path) -> None:
    state = small_state()
    del state["decoder.layers.1.bn.bias"]
    torch.save(state, path)


def _widened(path: Path) -> None:
    state = small_state()
    state["refine_net.0.0.bias"] = torch.zeros(3)
    torch.save(state, path)


def _foreign(path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, path)


def _not_finite(path: Path) -> None:
    state = small_state()
    state["encoder.arch.norm0.weight"][3] = float("nan")
    torch.save(state, path)


def _hostile(path: Path) -> None:
    torch.save({"params": _Trap(path.with_name("trapped"))}, path)


class _Trap:
    """Creates a file when it is unpickled without care."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def _gapped(path: Path) -> None:
    state = small_state()
    state["encoder.arch.stages.0.999999999.gamma"] = torch.zeros(1)
    torch.save(state, path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_absent, "no such file"),
        (lambda path: path.write_bytes(b""), "damaged or no checkpoint"),
        (lambda path: path.write_bytes(b"<html>404</html>" * 99), "damaged or no checkpoint"),
        (_truncated, "damaged or no checkpoint"),
        (_hostile, "damaged or no checkpoint"),
        (lambda path: torch.save([1, 2], path), "no state dict"),
        (lambda path: torch.save({"params": {"a": 1}}, path), "no tensor"),
        (_foreign, "no DDColor checkpoint"),
        (_gapped, "no DDColor checkpoint"),
        (_dropped, "missing decoder.layers.1.bn.bias"),
        (_widened, r"wrong shape of refine_net.0.0.bias \(3, not 2\)"),
        (_not_finite, "NaN"),
        (lambda path: path.mkdir(), "no such file"),
    ],
)
def test_unusable_checkpoints_say_why(tmp_path: Path, make: object, said: str) -> None:
    """Each unusable file gives the kind, its name, what is wrong and what to do, but no folder."""
    assert callable(make)
    make(tmp_path / NAME)
    with pytest.raises(ModelNotLoaded, match=said) as caught:
        ModelRegistry([tmp_path], device="cpu").get(NAME)
    message = str(caught.value)
    assert caught.value.comfyui_error_kind == "model_not_loaded"
    assert message.startswith(f"{NAME}: ")
    assert message.endswith(caught.value.action)
    assert str(tmp_path) not in message
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("name", ["../" + NAME, "/etc/passwd", "", "sub/" + NAME, "x\0.pth"])
def test_names_never_leave_the_folders(tmp_path: Path, name: str) -> None:
    """A name with a path in it finds nothing."""
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    save_small(tmp_path / NAME)
    save_small(folder / "sub" / NAME)
    with pytest.raises(ModelNotLoaded, match="no such file"):
        ModelRegistry([folder], device="cpu").get(name)


def test_a_changed_file_is_loaded_again(registry: ModelRegistry, tmp_path: Path) -> None:
    """A file replaced while the service runs is used from the next call on."""
    before = registry.get(NAME)
    save_small(tmp_path / "new", seed=5).replace(tmp_path / NAME)
    after = registry.get(NAME)
    assert after.loaded_now
    assert after.sha256 != before.sha256


def test_a_broken_change_leaves_the_earlier_weights(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    """When the file becomes unusable, work goes on with what is loaded and the problem is shown."""
    told: list[str] = []
    registry.refused = lambda name, error: told.append(f"{name} {error.reason}")
    before = registry.get(NAME)
    (tmp_path / NAME).write_bytes(b"broken")
    after = registry.get(NAME)
    assert after.network is before.network
    assert after.problem is not None
    assert "damaged" in after.problem
    assert registry.get(NAME).problem == after.problem
    with pytest.raises(ModelNotLoaded):
        registry.reload(NAME)
    assert len(told) == 1
    (tmp_path / NAME).write_bytes(b"broken anew")
    with pytest.raises(ModelNotLoaded):
        registry.reload(NAME)
    registry.get(NAME)
    assert len(told) == 2
    save_small(tmp_path / NAME, seed=3)
    healed = registry.get(NAME)
    assert healed.loaded_now
    assert healed.problem is None


def test_reload_and_unload(registry: ModelRegistry) -> None:
    """Reload reads the file anew though unchanged; unload drops it until it is asked for."""
    first = registry.get(NAME)
    again = registry.reload(NAME)
    assert again.loaded_now
    assert again.network is not first.network
    assert registry.unload(NAME) == [NAME]
    assert registry.unload() == []
    assert registry.loaded() == []
    assert registry.get(NAME).loaded_now


def test_many_threads_load_once(registry: ModelRegistry) -> None:
    """Threads that ask at the same time get one network, and their pictures are right."""
    picture = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)
    models: list[LoadedModel] = []
    pictures = []

    def work() -> None:
        model = registry.get(NAME)
        models.append(model)
        pictures.append(model.colorize(picture, 32))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model.network) for model in models}) == 1
    assert sum(model.loaded_now for model in models) == 1
    for got in pictures:
        np.testing.assert_array_equal(got, pictures[0])


@pytest.mark.parametrize("asked", ["tpu", "", "cuda:999", "meta"])
def test_devices_that_are_not_there_are_refused(asked: str) -> None:
    """An unknown or absent device is named, with what to use instead."""
    with pytest.raises(ValueError, match="use auto"):
        device_of(asked)
    assert device_of("cpu") == torch.device("cpu")
