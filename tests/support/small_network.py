"""A DDColor network small enough to make, save and run in milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ddcolor_service.network import DDColor, DDColorConfig

SMALL = DDColorConfig(
    depths=(1, 1, 1, 1),
    dims=(8, 8, 16, 16),
    decoder_channels=(16, 16, 8),
    hidden=16,
    queries=4,
    layers=3,
    feedforward=16,
)


def small_state(seed: int = 0) -> dict[str, Tensor]:
    """Return a state dict whose network gives finite and varied colours."""
    torch.manual_seed(seed)
    network = DDColor(SMALL).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(2, 3, 64, 64))
        state = network.state_dict()
        state["decoder.color_decoder.color_embed.layers.2.weight"].mul_(30)
    return state


def save_small(path: Path, seed: int = 0) -> Path:
    """Write a checkpoint of the small network and return its path."""
    torch.save(small_state(seed), path)
    return path
