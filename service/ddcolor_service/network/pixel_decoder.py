"""The pixel decoder: brings the deepest feature back up, joining the finer ones on the way."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddcolor_service.network.layers import SpectralConv2d, blur


class Shuffle(nn.Module):
    """1x1 convolution with room for ``factor``^2 sub-pixels, then PixelShuffle and blur."""

    def __init__(self, in_channels: int, out_channels: int, factor: int, *, norm: bool) -> None:
        super().__init__()
        wide = out_channels * factor * factor
        self.conv = nn.Sequential(SpectralConv2d(in_channels, wide, 1, bias=not norm))
        if norm:
            self.conv.append(nn.BatchNorm2d(wide))
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H * factor, W * factor)."""
        return blur(functional.pixel_shuffle(functional.relu(self.conv(x)), self.factor))

    def project(self, x: Tensor, mixes: Tensor, rows: int = 32) -> Tensor:
        """Return ``einsum("boc,bchw->bohw", mixes, self(x))`` without ever holding ``self(x)``.

        Mixing channels, shuffling and blurring are linear and act on different axes, so they can
        change places: mixed first, a few channels are shuffled and blurred instead of hundreds.
        Strips of ``rows`` rows bound the memory: at 1280 px the whole would be several GB.

        Shapes: x (B, in, H, W), mixes (B, o, out) -> (B, o, H * factor, W * factor).
        """
        subpixels = self.factor * self.factor
        strips = []
        for strip in torch.split(x, rows, dim=2):
            wide = torch.unflatten(functional.relu(self.conv(strip)), 1, (-1, subpixels))
            strips.append(torch.einsum("boc,bcshw->boshw", mixes, wide))
        return blur(functional.pixel_shuffle(torch.cat(strips, dim=3).flatten(1, 2), self.factor))


class UpBlock(nn.Module):
    """Doubles the size of a feature and merges it with the encoder's feature of that size."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shuf = Shuffle(in_channels, out_channels, 2, norm=True)
        self.bn = nn.BatchNorm2d(skip_channels)
        self.conv = nn.Sequential(
            SpectralConv2d(out_channels + skip_channels, out_channels, 3, bias=False),
            nn.ReLU(),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, in, H, W) and (N, skip, 2H, 2W) -> (N, out, 2H, 2W)."""
        joined = functional.relu(torch.cat([self.shuf(x), self.bn(skip)], dim=1))
        merged: Tensor = self.conv(joined)
        return merged
