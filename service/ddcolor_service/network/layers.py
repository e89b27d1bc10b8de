"""Layers that several parts of the network share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LayerNormChannelsFirst(nn.Module):
    """Layer normalisation over the channels of (N, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        shape = (x.shape[1],)
        last = functional.layer_norm(x.permute(0, 2, 3, 1), shape, self.weight, self.bias, self.eps)
        return last.permute(0, 3, 1, 2)


class SpectralConv2d(nn.Module):
    """Convolution whose weight is divided by its largest singular value.

    Written out instead of parametrised, because published checkpoints hold the older layout:
    ``weight_orig`` and the singular vectors ``weight_u`` and ``weight_v``. In training each
    forward pass refines the vectors by one step of power iteration; in evaluation they stay.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.padding = kernel_size // 2
        self.weight_orig = nn.Parameter(
            torch.empty(out_channels, in_channels, kernel_size, kernel_size)
        )
        nn.init.kaiming_uniform_(self.weight_orig)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        # The first training step brings them to length 1.
        flat = in_channels * kernel_size * kernel_size
        self.register_buffer("weight_u", torch.ones(out_channels))
        self.register_buffer("weight_v", torch.ones(flat))

    def weight(self) -> Tensor:
        """Return the normalised weight, shaped as ``weight_orig``."""
        # The singular value is a long sum: in half precision it would be off by per cents.
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            matrix = self.weight_orig.flatten(1)
            if self.training:
                with torch.no_grad():
                    self.weight_v.copy_(
                        functional.normalize(matrix.T @ self.weight_u, dim=0, eps=1e-12)
                    )
                    self.weight_u.copy_(
                        functional.normalize(matrix @ self.weight_v, dim=0, eps=1e-12)
                    )
            # Clones, because autograd must not see the next step's in-place change.
            sigma = self.weight_u.clone() @ (matrix @ self.weight_v.clone())
            return self.weight_orig / sigma

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H, W)."""
        return functional.conv2d(x, self.weight(), self.bias, padding=self.padding)


def blur(x: Tensor) -> Tensor:
    """Average each pixel with its left and upper neighbours: hides the grid of PixelShuffle."""
    return functional.avg_pool2d(
        functional.pad(x, (1, 0, 1, 0), mode="replicate"), kernel_size=2, stride=1
    )
