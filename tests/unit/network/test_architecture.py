"""The network has the official layout and gives the official results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ddcolor_service.colorize import colorize
from ddcolor_service.network import DEMO, PRESETS, TINY, DDColor, config_of, variant_of
from ddcolor_service.network.layers import SpectralConv2d
from tests.support.ddcolor_weights import DATA, deterministic_state, listed


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep to one core: other test processes share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny() -> DDColor:
    """Return the tiny network with the weights of the golden vectors."""
    network = DDColor(TINY)
    network.load_state_dict(deterministic_state("tiny"), strict=True)
    return network.eval()


@pytest.mark.parametrize(
    ("variant", "entries", "parameters"), [("tiny", 440, 55_006_640), ("large", 602, 227_869_328)]
)
def test_layout_is_the_official_one(variant: str, entries: int, parameters: int) -> None:
    """Every name, shape and type of the official list is there, and nothing else."""
    with torch.device("meta"):
        network = DDColor(PRESETS[variant])
        stand_in = {
            name: torch.empty(shape, dtype=getattr(torch, dtype))
            for name, (shape, dtype) in listed(variant).items()
        }
    assert {
        name: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in network.state_dict().items()
    } == listed(variant)
    assert len(stand_in) == entries
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    network.load_state_dict(stand_in, strict=True, assign=True)


@pytest.mark.parametrize("variant", ["tiny", "large", "demo"])
def test_config_is_read_off_names_and_shapes(variant: str) -> None:
    """A state dict's names and shapes give back the configuration that made it."""
    with torch.device("meta"):
        state = DDColor(PRESETS[variant]).state_dict()
    read = config_of({key: tuple(value.shape) for key, value in state.items()})
    assert read == PRESETS[variant]
    assert variant_of(read) == variant


def test_golden_ab(tiny: DDColor) -> None:
    """The official network's a and b channels come out within 1e-3."""
    with np.load(DATA / "golden_tiny_64.npz") as golden, torch.inference_mode():
        ab = tiny(torch.from_numpy(golden["tensor"])).numpy()
        np.testing.assert_allclose(ab, golden["ab"], atol=1e-3, rtol=0)


def test_golden_picture(tiny: DDColor) -> None:
    """The official pipeline's picture comes out within one level."""
    with np.load(DATA / "golden_tiny_64.npz") as golden:
        rgb = np.ascontiguousarray(golden["image_bgr"][:, :, ::-1])
        expected = golden["result_bgr"][:, :, ::-1].astype(int)
    got = colorize(tiny, rgb, 64).astype(int)
    assert np.abs(got - expected).max() <= 1


def test_projection_equals_the_plain_way() -> None:
    """Mixing query maps before they grow gives what the published order of steps gives."""
    torch.manual_seed(0)
    shuffle = DDColor(DEMO).eval().decoder.last_shuf
    feature, mixes = torch.randn(2, DEMO.decoder_channels[2], 9, 7), torch.randn(2, 3, DEMO.hidden)
    with torch.inference_mode():
        plain = torch.einsum("boc,bchw->bohw", mixes, shuffle(feature))
        strips = shuffle.project(feature, mixes, rows=2)
    torch.testing.assert_close(strips, plain, atol=1e-4, rtol=1e-4)


def test_spectral_norm_bounds_the_weight() -> None:
    """After some training passes the largest singular value of a normalised weight is 1."""
    torch.manual_seed(0)
    layer = SpectralConv2d(64, 48, 3).train()
    with torch.no_grad():
        for _ in range(60):
            weight = layer.weight()
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("size", [460, 680, 16])
def test_sides_off_the_grid_are_refused(tiny: DDColor, size: int) -> None:
    """A side that is no multiple of 32 gives an error that says so."""
    with pytest.raises(ValueError, match="must be multiples of 32"):
        tiny(torch.zeros(1, 3, size, size))
    with pytest.raises(ValueError, match="use a multiple of 32"):
        colorize(tiny, np.zeros((40, 40, 3), np.float32), size)
