"""Sizes of a DDColor network, the published variants, and reading the sizes off a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SCALES = 3
"""Feature maps that the pixel decoder makes on its way up and the colour decoder attends to."""

STRIDE = 32
"""Total stride of the encoder: an input side must be a multiple of it."""


@dataclass(frozen=True, slots=True)
class DDColorConfig:
    """Every size of the network; the layout of the layers is the same for all of them.

    ``depths`` and ``dims`` are blocks and channels of the encoder's four stages,
    ``decoder_channels`` the outputs of the three pixel decoder blocks, ``hidden`` the width of the
    colour queries (and of the image features they are multiplied with).
    """

    depths: tuple[int, int, int, int]
    dims: tuple[int, int, int, int]
    decoder_channels: tuple[int, int, int]
    hidden: int
    queries: int
    layers: int
    feedforward: int
    heads: int = 8

    def __post_init__(self) -> None:
        if self.hidden % (2 * 2) or self.hidden % self.heads:
            raise ValueError(
                f"hidden={self.hidden} must be a multiple of 4 (sine and cosine for two axes) and"
                f" of heads={self.heads}"
            )
        if self.layers % SCALES:
            raise ValueError(f"layers={self.layers} must be a multiple of {SCALES}, one per scale")


def _published(depths: tuple[int, int, int, int], dims: tuple[int, int, int, int]) -> DDColorConfig:
    return DDColorConfig(
        depths=depths,
        dims=dims,
        decoder_channels=(512, 512, 256),
        hidden=256,
        queries=100,
        layers=9,
        feedforward=2048,
    )


TINY = _published((3, 3, 9, 3), (96, 192, 384, 768))
LARGE = _published((3, 3, 27, 3), (192, 384, 768, 1536))
DEMO = DDColorConfig(
    depths=(1, 2, 4, 2),
    dims=(24, 56, 112, 192),
    decoder_channels=(96, 56, 32),
    hidden=24,
    queries=24,
    layers=3,
    feedforward=96,
)

PRESETS: Mapping[str, DDColorConfig] = {"tiny": TINY, "large": LARGE, "demo": DEMO}


def variant_of(config: DDColorConfig) -> str:
    """Return the name of the preset with these sizes, or ``custom``."""
    return next((name for name, preset in PRESETS.items() if preset == config), "custom")


def config_of(shapes: Mapping[str, Sequence[int]]) -> DDColorConfig:
    """Read the sizes off a state dict's names and shapes.

    The number of heads leaves no trace in a state dict; every DDColor network has 8.

    Raises:
        ValueError: an entry that the sizes are read from is missing, or the sizes contradict
            each other; the message names the entry.
    """

    def size(name: str, axis: int) -> int:
        shape = shapes.get(name)
        if shape is None:
            raise ValueError(f"entry {name!r} is missing")
        if axis >= len(shape):
            raise ValueError(f"entry {name!r} has only {len(shape)} axes")
        return int(shape[axis])

    def count(pattern: str) -> int:
        found = {int(m[1]) for m in map(re.compile(pattern).match, shapes) if m}
        # Without gaps, or a hostile file could ask for a network of a billion layers.
        if not found or max(found) + 1 != len(found):
            raise ValueError(f"entries that match {pattern!r} are missing")
        return len(found)

    d0, d1, d2, d3 = (count(rf"encoder\.arch\.stages\.{i}\.(\d+)\.gamma$") for i in range(4))
    c0, c1, c2, c3 = (size(f"encoder.arch.norm{i}.weight", 0) for i in range(4))
    p0, p1, p2 = (size(f"decoder.layers.{i}.conv.0.weight_orig", 0) for i in range(3))
    queries = "decoder.color_decoder.query_feat.weight"
    layer = r"decoder\.color_decoder\.transformer_ffn_layers\.(\d+)\.linear1\.weight$"
    return DDColorConfig(
        depths=(d0, d1, d2, d3),
        dims=(c0, c1, c2, c3),
        decoder_channels=(p0, p1, p2),
        hidden=size(queries, 1),
        queries=size(queries, 0),
        layers=count(layer),
        feedforward=size("decoder.color_decoder.transformer_ffn_layers.0.linear1.weight", 0),
    )
