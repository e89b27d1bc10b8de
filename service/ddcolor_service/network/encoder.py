"""The ConvNeXt encoder."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddcolor_service.network.config import DDColorConfig
from ddcolor_service.network.layers import LayerNormChannelsFirst

_EPS = 1e-6


class Block(nn.Module):
    """Depthwise 7x7, then a two-layer perceptron per pixel, scaled and added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), 0.1))
        self.dwconv = nn.Conv2d(channels, channels, kernel_size=7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(functional.gelu(self.pwconv1(y)))
        out: Tensor = x + y.permute(0, 3, 1, 2)
        return out


class ConvNeXt(nn.Module):
    """Four stages at strides 4, 8, 16 and 32.

    ``norm`` belongs to the classifier that the published encoders were first trained as. It takes
    no part in the forward pass, but is in every checkpoint, and checkpoints are loaded strictly.
    """

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        dims = config.dims
        stem = nn.Sequential(nn.Conv2d(3, dims[0], 4, stride=4), LayerNormChannelsFirst(dims[0]))
        self.downsample_layers = nn.ModuleList([stem])
        for narrow, wide in pairwise(dims):
            self.downsample_layers.append(
                nn.Sequential(LayerNormChannelsFirst(narrow), nn.Conv2d(narrow, wide, 2, stride=2))
            )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(dim) for _ in range(depth)))
            for dim, depth in zip(dims, config.depths, strict=True)
        )
        self.norm0 = LayerNormChannelsFirst(dims[0])
        self.norm1 = LayerNormChannelsFirst(dims[1])
        self.norm2 = LayerNormChannelsFirst(dims[2])
        self.norm3 = LayerNormChannelsFirst(dims[3])
        self.norm = nn.LayerNorm(dims[3], eps=_EPS)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, S, S) -> the four stages' features, the finest first."""
        features = []
        norms = (self.norm0, self.norm1, self.norm2, self.norm3)
        for down, stage, norm in zip(self.downsample_layers, self.stages, norms, strict=True):
            x = stage(down(x))
            features.append(norm(x))
        return features


class Encoder(nn.Module):
    """Holds the backbone under the name that checkpoints give it."""

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        self.arch = ConvNeXt(config)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, S, S) -> the four stages' features, the finest first."""
        features: list[Tensor] = self.arch(x)
        return features
