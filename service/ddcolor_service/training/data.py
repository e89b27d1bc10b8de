"""Training pieces: random views of the photographs as (grey input, ab target) pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARES = {"person": 0.34, "building": 0.36, "nature": 0.2, "thing": 0.1}
"""How often each group of photographs is drawn from, whatever its count."""


@dataclass(frozen=True, slots=True)
class View:
    """Batch size and side of one training step."""

    batch: int
    side: int


# Small pieces teach much cheaply; large ones are what the network is used at.
VIEWS = (View(20, 64), View(10, 96), View(6, 128), View(4, 192), View(3, 256), View(2, 384))
_EARLY = np.array([0.6, 0.4, 0, 0, 0, 0])
_LATE = np.array([0, 0.15, 0.3, 0.3, 0.15, 0.1])


LARGE_VIEWS = (View(4, 192), View(3, 256), View(2, 384), View(1, 512), View(1, 640))
_LARGE = np.array([0.2, 0.25, 0.25, 0.2, 0.1])


def large_view(rng: np.random.Generator) -> View:
    """Draw a view for the second part of a run, which fits the network to the sizes of its use."""
    return LARGE_VIEWS[rng.choice(len(LARGE_VIEWS), p=_LARGE)]


def view_at(rng: np.random.Generator, progress: float) -> View:
    """Draw a view for the first part of a run, ``progress`` (0..1) of it done."""
    return VIEWS[rng.choice(len(VIEWS), p=_EARLY + (_LATE - _EARLY) * progress**1.5)]


class Photos:
    """The photographs in memory, (H, W, 3) uint8 RGB, by group."""

    def __init__(self, folder: Path) -> None:
        self.groups: dict[str, list[NDArray[np.uint8]]] = {}
        for group in SHARES:
            paths = sorted(folder.glob(f"{group}__*.png"))
            if not paths:
                raise FileNotFoundError(f"no {group} photos in {folder}: run `collect` first")
            self.groups[group] = [read_photo(path) for path in paths]

    def batch(self, rng: np.random.Generator, view: View) -> tuple[Tensor, Tensor]:
        """Return grey RGB (N, 3, S, S) in 0..1 and ab (N, 2, S, S) in Lab units."""
        pieces = [self._piece(rng, view.side) for _ in range(view.batch)]
        grey, ab = zip(*pieces, strict=True)
        return (
            torch.from_numpy(np.stack(grey)).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(np.stack(ab)).permute(0, 3, 1, 2).contiguous(),
        )

    def _piece(
        self, rng: np.random.Generator, side: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        group = rng.choice(list(SHARES), p=list(SHARES.values()))
        photos = self.groups[str(group)]
        photo = _cut(rng, photos[rng.integers(len(photos))])
        shrunk = photo.shape[0] > side
        how = cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR
        small = cv2.resize(photo, (side, side), interpolation=how)
        rgb = np.divide(small, 255, dtype=np.float32)
        if rng.random() < 0.5:
            rgb = np.ascontiguousarray(rgb[:, ::-1])
        return _aged(rng, rgb)


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read a picture file as (H, W, 3) RGB."""
    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError(f"{path.name} is no picture")
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _cut(rng: np.random.Generator, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut a random part, often the whole: the pipeline always shows the whole, squeezed."""
    height, width = photo.shape[:2]
    share = 1.0 if rng.random() < 0.4 else rng.uniform(0.45, 1.0)
    stretch = np.exp(rng.uniform(-0.25, 0.25)) if share < 1 else 1.0
    rows = int(min(height, height * share * stretch))
    columns = int(min(width, width * share / stretch))
    top = rng.integers(height - rows + 1)
    left = rng.integers(width - columns + 1)
    return photo[top : top + rows, left : left + columns]


def _aged(
    rng: np.random.Generator, rgb: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Split into lightness and colour; vary the lightness as old prints and scans do."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)
    ab = np.asarray(lab[:, :, 1:], dtype=np.float32).copy()
    lightness = lab[:, :, 0] / 100
    lightness = lightness ** np.exp(rng.uniform(-0.3, 0.3))
    low, high = rng.uniform(0, 0.08), rng.uniform(0.9, 1)
    lightness = low + (high - low) * lightness
    if rng.random() < 0.3:
        lightness = cv2.GaussianBlur(lightness, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.2:
        lightness = lightness + rng.normal(0, rng.uniform(0.005, 0.03), lightness.shape)
    lab[:, :, 0] = np.clip(lightness, 0, 1) * 100
    lab[:, :, 1:] = 0
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), dtype=np.float32), ab
