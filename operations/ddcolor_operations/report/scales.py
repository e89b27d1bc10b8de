"""Axes: where a value lies between 0 and 1, and which round values get a tick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to fractions of a chart's width."""

    low: float
    high: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return the fraction at which ``value`` lies, clamped to 0..1."""
        if self.logarithmic:
            value, low, high = (math.log10(max(v, 1e-9)) for v in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), 0.0), 1.0)


def linear(maximum: float, wanted: int = 5) -> Scale:
    """Return a scale from 0 to a round value >= ``maximum``, with about ``wanted`` ticks."""
    step = _round_step(maximum / wanted) if maximum > 0 else 0.25
    count = max(math.ceil(maximum / step - 1e-9), 1)
    return Scale(0.0, count * step, False, tuple(i * step for i in range(count + 1)))


def logarithmic(values: Sequence[float]) -> Scale:
    """Return a scale of whole decades around ``values`` (positive; others count as the least)."""
    positive = [value for value in values if value > 0] or [1.0]
    first = math.floor(math.log10(min(positive)) + 1e-9)
    last = max(math.ceil(math.log10(max(positive)) - 1e-9), first + 1)
    ticks = tuple(10.0**power for power in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], True, ticks)


def seconds(value: float) -> str:
    """Write a duration in seconds for people: ``250 µs``, ``42 ms``, ``3.1 s``, ``2 m 05 s``."""
    if value >= 99.95:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} m {rest:02d} s"
    if value >= 0.9995:
        return f"{value:.1f} s"
    return f"{value * 1e3:.0f} ms" if value >= 0.0009995 else f"{value * 1e6:.0f} µs"


def tick_label(value: float) -> str:
    """Write a tick's value (a round number of seconds) as short as it goes."""
    if value == 0 or value >= 1:
        return f"{value:g} s"
    return f"{value * 1e3:g} ms" if value >= 0.001 else f"{value * 1e6:g} µs"


def _round_step(rough: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough - 1e-12)
