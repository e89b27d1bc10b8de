"""From a picture to a coloured picture: OpenCV's float Lab around the network.

The lightness of the full-size picture is kept as it is; the network only sees a small grey copy and
only gives the a and b channels, so detail never suffers from the network's input size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ddcolor_service.network import STRIDE, DDColor
from ddcolor_service.network.encoder import Block
from ddcolor_service.network.layers import SpectralConv2d

Image = NDArray[np.float32] | NDArray[np.uint8]
Check = Callable[[], None]


def batch_size(device: torch.device) -> int:
    """Return how many pictures are worth being coloured at once on ``device``."""
    # On a GPU small batches fill the device; on a CPU they only cost memory.
    return {"cuda": 4, "mps": 2}.get(device.type, 1)


class InputSizeError(ValueError):
    """The network's input size is not a positive multiple of 32."""

    comfyui_error_kind = "size_advice"


def colorize(
    network: DDColor, image: Image, input_size: int, *, check: Check | None = None
) -> Image:
    """Colour one picture or a batch; any colour it had is dropped.

    Args:
        network: in evaluation mode, on the device that does the work.
        image: RGB, (H, W, 3) or (N, H, W, 3); float32 in 0..1 or uint8 in 0..255.
        input_size: side of the square that the network sees, a multiple of 32 px. Aspect is not
            kept in it.
        check: called before each block of the network; what it raises ends the work. This is how
            an interrupt or a time limit takes effect inside a long forward pass.

    Returns:
        Shape and dtype of ``image``, values clipped to its range. NaN stays NaN in float32.

    Raises:
        InputSizeError: ``input_size`` does not fit the network.
        ValueError: shape or dtype of ``image`` is not one of the above.
    """
    if input_size < STRIDE or input_size % STRIDE:
        raise InputSizeError(
            f"input size {input_size} px does not fit the network: use a multiple of {STRIDE}, such"
            f" as {max(STRIDE, round(input_size / STRIDE) * STRIDE)}"
        )
    _require_picture(image)
    pictures = image if image.ndim == 4 else image[None]
    step = batch_size(network.mean.device)
    out = np.empty_like(pictures)
    with torch.inference_mode(), _checked(network, check):
        for start in range(0, len(pictures), step):
            chosen = slice(start, start + step)
            out[chosen] = _colorize_batch(network, pictures[chosen], input_size)
    return out if image.ndim == 4 else out[0]


def _require_picture(image: Image) -> None:
    if image.dtype not in (np.float32, np.uint8):
        raise ValueError(f"image is {image.dtype}: give float32 in 0..1 or uint8 in 0..255")
    if image.ndim not in (3, 4) or image.shape[-1] != 3 or 0 in image.shape:
        raise ValueError(f"image has shape {image.shape}: give (H, W, 3) or (N, H, W, 3), RGB")


def _colorize_batch(network: DDColor, pictures: Image, size: int) -> Image:
    """(N, H, W, 3) -> (N, H, W, 3)."""
    rgb: NDArray[np.float32] = pictures.astype(np.float32, copy=False)
    if pictures.dtype == np.uint8:
        rgb = np.divide(rgb, 255, dtype=np.float32)
    lightness = [cv2.cvtColor(picture, cv2.COLOR_RGB2Lab)[:, :, :1] for picture in rgb]
    grey = np.stack([_grey_square(picture, size) for picture in rgb])

    device = network.mean.device
    x = torch.from_numpy(grey).permute(0, 3, 1, 2).to(device)
    with torch.autocast(device.type, dtype=torch.float16, enabled=device.type == "cuda"):
        ab = network(x)
    height, width = pictures.shape[1:3]
    # Nearest, as the published pipeline does: its results are what users compare with.
    ab = functional.interpolate(ab.float(), size=(height, width), mode="nearest").cpu()

    coloured: NDArray[np.float32] = np.empty(pictures.shape, dtype=np.float32)
    for index, (kept, planes) in enumerate(zip(lightness, ab, strict=True)):
        lab = np.concatenate([kept, planes.permute(1, 2, 0).numpy()], axis=2)
        coloured[index] = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
        # OpenCV turns NaN into some colour; broken weights must stay visible.
        coloured[index][~np.isfinite(lab).all(axis=2)] = np.nan
    coloured = np.clip(coloured, 0, 1)
    if pictures.dtype == np.uint8:
        return np.rint(coloured * 255).astype(np.uint8)
    return coloured


def _grey_square(rgb: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(H, W, 3) -> (size, size, 3): the lightness alone, as RGB."""
    small = cv2.resize(rgb, (size, size))
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2Lab)
    lab[:, :, 1:] = 0
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), dtype=np.float32)


@contextmanager
def _checked(network: DDColor, check: Check | None) -> Iterator[None]:
    """Call ``check`` before every block of the network while the context lasts."""
    if check is None:
        yield
        return
    called = check
    blocks = [m for m in network.modules() if isinstance(m, Block | SpectralConv2d)]
    hooks = [block.register_forward_pre_hook(lambda *_: called()) for block in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
