"""The size advice for each scenario: the one truth that nodes, workflows and page read.

``model_input_size`` is the side of the square that the network sees, in pixels; it must be a
multiple of :data:`SIZE_STEP` because the encoder halves it five times.
"""

from __future__ import annotations

from dataclasses import dataclass

SIZE_STEP = 32
"""The network takes only multiples of this (pixels)."""

LARGE_PHOTO_PX = 2000
"""A photo with a longer side than this (pixels) is slow and takes much memory."""


@dataclass(frozen=True, slots=True)
class SizeAdvice:
    """Advised ``model_input_size`` of one scenario, in pixels, both ends included."""

    smallest: int
    largest: int
    default: int

    def covers(self, size: int) -> bool:
        """Say whether ``size`` (pixels) lies within the advice and fits the network."""
        return self.smallest <= size <= self.largest and size % SIZE_STEP == 0


SIZE_ADVICE: dict[str, SizeAdvice] = {
    "person": SizeAdvice(smallest=480, largest=672, default=512),
    "building": SizeAdvice(smallest=960, largest=1280, default=1024),
}
"""Keyed by scenario, as in ``extra_data.scenario`` of a prompt."""
