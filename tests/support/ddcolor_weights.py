"""Deterministic DDColor weights: with them the official network gave the golden vectors.

Every entry is drawn from a generator seeded with its name, so no weights need to be stored.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DATA = Path(__file__).parents[1] / "data" / "ddcolor"


def listed(variant: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return name -> (shape, dtype) of every entry of the official ``tiny`` or ``large`` file."""
    entries = json.loads((DATA / f"state_dict_{variant}.json").read_text(encoding="utf-8"))
    return {name: (tuple(shape), dtype) for name, shape, dtype in entries}


def deterministic_state(variant: str) -> dict[str, Tensor]:
    """Return a whole state dict for a listed variant."""
    state = {
        "mean": torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1),
        "std": torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1),
    }
    arrays = {name: _fill(name, shape) for name, (shape, _) in listed(variant).items()}
    for name in [name for name in arrays if name.endswith("weight_orig")]:
        base = name.removesuffix("weight_orig")
        arrays[f"{base}weight_u"], arrays[f"{base}weight_v"] = _singular_vectors(arrays[name])
    return {name: torch.from_numpy(array) for name, array in arrays.items()} | state


def _fill(name: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    drawn = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        return np.asarray(0.5 + drawn.rand(*shape), np.float32)
    if name.endswith(("running_mean", ".bias")):
        return np.asarray(0.02 * drawn.randn(*shape), np.float32)
    if name.endswith("gamma"):
        return np.asarray(0.1 * drawn.rand(*shape), np.float32)
    if name.endswith(("weight_u", "weight_v")):
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        return np.asarray(1 + 0.05 * drawn.randn(*shape), np.float32)
    gain = 60.0 if name.endswith("color_embed.layers.2.weight") else 1.0
    return np.asarray(gain * drawn.randn(*shape) / math.sqrt(math.prod(shape[1:])), np.float32)


def _singular_vectors(
    weight: NDArray[np.generic],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    matrix = weight.astype(np.float64).reshape(weight.shape[0], -1)
    v = np.full(matrix.shape[1], 1 / math.sqrt(matrix.shape[1]))
    for _ in range(10):
        u = matrix @ v
        u /= np.linalg.norm(u)
        v = matrix.T @ u
        v /= np.linalg.norm(v)
    return u.astype(np.float32), v.astype(np.float32)
