"""DDColor: encoder, dual decoder and the layer that turns query maps into colour."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddcolor_service.network.color_decoder import ColorDecoder
from ddcolor_service.network.config import STRIDE, DDColorConfig
from ddcolor_service.network.encoder import Encoder
from ddcolor_service.network.layers import SpectralConv2d
from ddcolor_service.network.pixel_decoder import Shuffle, UpBlock


class DualDecoder(nn.Module):
    """The pixel decoder (``layers``, ``last_shuf``) and the colour decoder side by side."""

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        fine, mid, coarse, deepest = config.dims
        first, second, third = config.decoder_channels
        self.layers = nn.ModuleList(
            [
                UpBlock(deepest, coarse, first),
                UpBlock(first, mid, second),
                UpBlock(second, fine, third),
            ]
        )
        self.last_shuf = Shuffle(third, config.hidden, 4, norm=False)
        self.color_decoder = ColorDecoder(config)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn encoder features, finest first, into a feature at stride 4 and (B, Q, C) colours."""
        *skips, x = features
        scales = []
        for layer, skip in zip(self.layers, reversed(skips), strict=True):
            x = layer(x, skip)
            scales.append(x)
        return x, self.color_decoder(scales)


class DDColor(nn.Module):
    """Predicts the a and b channels of Lab for a grey picture.

    Names and shapes of the parameters are those of the published checkpoints, so that they load
    with ``strict=True``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.encoder = Encoder(config)
        self.decoder = DualDecoder(config)
        refine = SpectralConv2d(config.queries + 3, 2, kernel_size=1)
        self.refine_net = nn.Sequential(nn.Sequential(refine))  # nested as in the checkpoints

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) grey as RGB in 0..1 -> (N, 2, S, S) a and b in Lab units.

        Raises:
            ValueError: height or width is not a multiple of 32.
        """
        height, width = x.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(
                f"input of {width}x{height} px does not fit the network: width and height must be"
                f" multiples of {STRIDE}"
            )
        x = (x - self.mean) / self.std
        feature, colors = self.decoder(self.encoder(x))

        # The layer that mixes the query maps and the input into ab has no non-linearity before
        # it, so the queries' share of it is applied to the queries themselves: 2 maps instead of
        # `queries` maps at full size. Same result, a fraction of the memory.
        refine = cast(SpectralConv2d, self.refine_net.get_submodule("0.0"))
        weight = refine.weight()
        mixes = torch.einsum("oq,bqc->boc", weight[:, :-3, 0, 0], colors)
        from_input = functional.conv2d(x, weight[:, -3:], refine.bias)
        return self.decoder.last_shuf.project(feature, mixes) + from_input
