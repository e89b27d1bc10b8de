"""The colour decoder: learnt queries that look at the image and become colour embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddcolor_service.network.config import SCALES, DDColorConfig


def sine_positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Sine position embedding, (height * width, channels), on the device and type of ``like``.

    The first half of the channels encodes y, the second x; each axis runs to 2 pi, and sine and
    cosine alternate.
    """
    half = channels // 2
    steps = torch.arange(half, device=like.device, dtype=torch.float32)
    period = 10000 ** (2 * torch.div(steps, 2, rounding_mode="floor") / half)

    def axis(length: int) -> Tensor:
        place = torch.arange(1, length + 1, device=like.device, dtype=torch.float32)
        angle = (place / (length + 1e-6) * (2 * math.pi))[:, None] / period
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)

    y = axis(height)[:, None].expand(height, width, half)
    x = axis(width)[None].expand(height, width, half)
    return torch.cat([y, x], dim=2).flatten(0, 1).to(like.dtype)


class CrossAttention(nn.Module):
    """Queries attend to one scale of the image; residual, then norm."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, out: Tensor, embed: Tensor, memory: Tensor, positions: Tensor) -> Tensor:
        """(B, Q, C), (Q, C), (B, HW, C), (HW, C) -> (B, Q, C)."""
        seen, _ = self.multihead_attn(out + embed, memory + positions, memory, need_weights=False)
        normed: Tensor = self.norm(out + seen)
        return normed


class SelfAttention(nn.Module):
    """Queries attend to one another; residual, then norm."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, out: Tensor, embed: Tensor) -> Tensor:
        """(B, Q, C), (Q, C) -> (B, Q, C)."""
        placed = out + embed
        seen, _ = self.self_attn(placed, placed, out, need_weights=False)
        normed: Tensor = self.norm(out + seen)
        return normed


class FeedForward(nn.Module):
    """Two-layer perceptron per query; residual, then norm."""

    def __init__(self, hidden: int, feedforward: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(hidden, feedforward)
        self.linear2 = nn.Linear(feedforward, hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, out: Tensor) -> Tensor:
        """(B, Q, C) -> (B, Q, C)."""
        normed: Tensor = self.norm(out + self.linear2(functional.relu(self.linear1(out))))
        return normed


class Perceptron(nn.Module):
    """Three linear layers of one width with ReLU between."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        first, second, third = self.layers
        y: Tensor = third(functional.relu(second(functional.relu(first(x)))))
        return y


def _embedding(rows: int, hidden: int) -> nn.Embedding:
    # Uniform of variance 1, not nn.Embedding's own normal: on the meta device, where checkpoints
    # are checked, normal_ makes PyTorch import its compiler, which takes seconds.
    bound = math.sqrt(3)
    return nn.Embedding(rows, hidden, _weight=torch.empty(rows, hidden).uniform_(-bound, bound))


class ColorDecoder(nn.Module):
    """Refines the colour queries by attending to the three scales in turn, coarsest first."""

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.query_feat = _embedding(config.queries, hidden)
        self.query_embed = _embedding(config.queries, hidden)
        self.level_embed = _embedding(SCALES, hidden)
        self.input_proj = nn.ModuleList(
            nn.Conv2d(channels, hidden, kernel_size=1) for channels in config.decoder_channels
        )
        self.transformer_self_attention_layers = nn.ModuleList(
            SelfAttention(hidden, config.heads) for _ in range(config.layers)
        )
        self.transformer_cross_attention_layers = nn.ModuleList(
            CrossAttention(hidden, config.heads) for _ in range(config.layers)
        )
        self.transformer_ffn_layers = nn.ModuleList(
            FeedForward(hidden, config.feedforward) for _ in range(config.layers)
        )
        self.decoder_norm = nn.LayerNorm(hidden)
        self.color_embed = Perceptron(hidden)

    def forward(self, scales: Sequence[Tensor]) -> Tensor:
        """Three maps (B, channels, H, W), coarsest first -> colour embeddings (B, Q, hidden)."""
        memories = []
        positions = []
        for level, (project, scale) in enumerate(zip(self.input_proj, scales, strict=True)):
            memory = project(scale).flatten(2).transpose(1, 2)
            memories.append(memory + self.level_embed.weight[level])
            height, width = scale.shape[-2:]
            positions.append(sine_positions(height, width, memory.shape[2], memory))

        embed = self.query_embed.weight
        out = self.query_feat.weight.expand(scales[0].shape[0], -1, -1)
        layers = zip(
            self.transformer_cross_attention_layers,
            self.transformer_self_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        )
        for index, (cross, among, feed) in enumerate(layers):
            level = index % SCALES
            out = feed(among(cross(out, embed, memories[level], positions[level]), embed))
        colors: Tensor = self.color_embed(self.decoder_norm(out))
        return colors
