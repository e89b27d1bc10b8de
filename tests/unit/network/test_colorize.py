"""The colour pipeline around the network: shapes, types, what is kept and what is refused."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddcolor_service.colorize import InputSizeError, colorize
from ddcolor_service.network import DDColor
from tests.support.small_network import SMALL, small_state

Floats = NDArray[np.floating[Any]]


@pytest.fixture(scope="module")
def network() -> DDColor:
    """Return a small network in evaluation mode."""
    network = DDColor(SMALL)
    network.load_state_dict(small_state())
    return network.eval()


def _picture(*shape: int) -> Floats:
    return np.random.default_rng(1).random(shape, dtype=np.float32)


@pytest.mark.parametrize("shape", [(33, 50, 3), (1, 20, 30, 3), (3, 40, 20, 3), (1, 1, 3)])
def test_shape_and_range_are_kept(network: DDColor, shape: tuple[int, ...]) -> None:
    """A float picture or batch comes back with its shape, as float32 in 0..1."""
    got = colorize(network, _picture(*shape), 64)
    assert got.shape == shape
    assert got.dtype == np.float32
    assert 0 <= got.min() <= got.max() <= 1


def test_bytes_and_floats_agree(network: DDColor) -> None:
    """A uint8 picture gives what the same picture gives as floats, rounded."""
    levels = np.random.default_rng(2).integers(0, 256, (31, 47, 3)).astype(np.uint8)
    as_float = colorize(network, np.divide(levels, 255, dtype=np.float32), 64)
    as_bytes = colorize(network, levels, 64)
    assert as_bytes.dtype == np.uint8
    np.testing.assert_array_equal(as_bytes, np.rint(as_float * 255).astype(np.uint8))


def test_batch_equals_single_pictures(network: DDColor) -> None:
    """Each picture of a batch comes out as it does alone."""
    batch = _picture(3, 24, 32, 3)
    together = colorize(network, batch, 64)
    for picture, got in zip(batch, together, strict=True):
        assert np.allclose(got, colorize(network, picture, 64), atol=1e-5)


def test_lightness_of_the_full_picture_is_kept(network: DDColor) -> None:
    """Detail comes from the picture itself, however small the network's input is."""
    picture = 0.4 + 0.2 * _picture(64, 96, 3)  # mid tones, so that no colour is clipped
    got = colorize(network, picture, 32)
    before = cv2.cvtColor(picture, cv2.COLOR_RGB2Lab)[:, :, 0]
    after = cv2.cvtColor(got, cv2.COLOR_RGB2Lab)[:, :, 0]
    inside = (got > 0.001).all(axis=2) & (got < 0.999).all(axis=2)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(after[inside], before[inside], atol=0.2)


def test_colour_of_the_input_is_dropped(network: DDColor) -> None:
    """A tinted scan of a grey photo is coloured as the grey one."""
    lab = np.zeros((32, 32, 3), np.float32)
    lab[:, :, 0] = np.linspace(30, 70, 32)
    grey = np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), np.float32)
    lab[:, :, 1:] = (4, 12)
    tinted = np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), np.float32)
    difference = np.abs(colorize(network, tinted, 32) - colorize(network, grey, 32))
    assert difference.max() < 0.01


@pytest.mark.parametrize("size", [0, -32, 31, 460, 680])
def test_size_off_the_grid_names_a_good_one(network: DDColor, size: int) -> None:
    """A size that is no multiple of 32 is refused with the kind and the nearest good size."""
    with pytest.raises(InputSizeError, match=r"such as \d+") as caught:
        colorize(network, _picture(8, 8, 3), size)
    assert caught.value.comfyui_error_kind == "size_advice"
    assert int(str(caught.value).split()[-1]) % 32 == 0


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((8, 8), np.float32), "shape"),
        (np.zeros((8, 8, 4), np.float32), "shape"),
        (np.zeros((0, 8, 3), np.float32), "shape"),
        (np.zeros((8, 8, 3), np.float64), "float64"),
    ],
)
def test_pictures_of_another_form_are_refused(network: DDColor, picture: Floats, said: str) -> None:
    """Wrong axes, channels or types are named in the error."""
    with pytest.raises(ValueError, match=said):
        colorize(network, picture, 32)


def test_check_stops_a_forward_pass(network: DDColor) -> None:
    """What the check raises ends the work in the middle, and the network works on afterwards."""
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        colorize(network, _picture(8, 8, 3), 64, check=check)
    assert calls == 4
    colorize(network, _picture(8, 8, 3), 64)
    assert calls == 4


def test_nan_of_broken_weights_is_not_hidden() -> None:
    """Weights that give NaN give a picture with NaN, for the output check to find."""
    network = DDColor(SMALL)
    network.load_state_dict(small_state())
    network.eval()
    with torch.no_grad():
        network.encoder.arch.norm3.weight.fill_(float("inf"))
    assert np.isnan(colorize(network, _picture(16, 16, 3), 32)).any()
