"""Writes what training made: the checkpoint, the demo photos, and pictures to judge it by."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ddcolor_service.colorize import colorize
from ddcolor_service.network import DDColor
from ddcolor_service.training.data import read_photo

Picture = NDArray[np.uint8]

DEMO_PHOTOS = {"person": "grace_hopper", "building": "china"}
"""Name of the demo photo -> the held-out photograph that it is made from."""


def write_checkpoint(network: DDColor, path: Path) -> None:
    """Write the state dict in half precision, bit for bit the same for the same weights."""
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    torch.save({"params": state}, path)


def write_demo_photos(photos: Path, into: Path) -> None:
    """Make black-and-white JPEGs of the held-out photographs."""
    into.mkdir(parents=True, exist_ok=True)
    for name, stem in DEMO_PHOTOS.items():
        grey = _grey(held_out(photos, stem))
        cv2.imwrite(str(into / f"{name}.jpg"), grey, [cv2.IMWRITE_JPEG_QUALITY, 90])


def write_sheet(network: DDColor, pictures: list[Picture], sizes: list[int], path: Path) -> None:
    """Write one picture with a row per photograph: grey, coloured at each size, the original."""
    rows = []
    for picture in pictures:
        grey = np.repeat(_grey(picture)[:, :, None], 3, axis=2)
        columns = [grey, *(colorize(network, grey, size) for size in sizes), picture]
        scale = 320 / picture.shape[0]
        rows.append(np.hstack([cv2.resize(c, None, fx=scale, fy=scale) for c in columns]))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 8), (0, width - row.shape[1]), (0, 0))) for row in rows]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(padded), cv2.COLOR_RGB2BGR))


def held_out(photos: Path, stem: str) -> Picture:
    """Read a held-out photograph as RGB.

    Raises:
        FileNotFoundError: it was not collected.
    """
    path = next(photos.glob(f"held_out__*{stem}.png"), None)
    if path is None:
        raise FileNotFoundError(f"no held-out photo {stem} in {photos}: run `collect` first")
    return read_photo(path)


def _grey(picture: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
