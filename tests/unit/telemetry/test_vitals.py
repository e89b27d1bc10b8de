"""The trend of the process's memory."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyui_telemetry import _vitals
from comfyui_telemetry._losses import Losses
from comfyui_telemetry._vitals import MemoryTrend, Vitals


def _trend(*samples: tuple[float, int]) -> MemoryTrend:
    trend = MemoryTrend()
    for at, resident in samples:
        trend.add(at, resident)
    return trend


def test_the_first_minute_has_no_trend() -> None:
    """A process that has just started grows; that is no leak."""
    assert MemoryTrend().slope() is None
    assert _trend((0, 100), (59.9, 900)).slope() is None
    assert _trend((0, 100), (60, 700)).slope() == pytest.approx(10)


@given(st.floats(-1e6, 1e6), st.integers(0, 10**11), st.floats(0, 1e6), st.integers(8, 200))
def test_a_line_is_found_again(rate: float, start: int, since: float, count: int) -> None:
    """The slope of memory that grows evenly is its rate, whatever the clock and size."""
    samples = [(since + 10 * number, int(start + rate * 10 * number)) for number in range(count)]
    assert _trend(*samples).slope() == pytest.approx(rate, abs=1.0)


def test_a_single_peak_is_no_trend() -> None:
    """A prompt's memory that is given back, in the middle of the window, tilts nothing."""
    samples = [(10 * n, 5_000_000 if n == 30 else 1_000) for n in range(61)]
    assert _trend(*samples).slope() == pytest.approx(0, abs=1e-6)


def test_only_ten_minutes_count() -> None:
    """What grew before is forgotten, and so is the memory for it."""
    trend = MemoryTrend()
    for number in range(1_000):
        trend.add(10.0 * number, min(number, 900) * 1_000)
    assert trend.slope() == 0
    assert len(trend._samples) == 61


def test_a_sample_is_taken_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chore of each second reads the memory only when a sample is due."""
    now: list[float] = [1_000.0]
    reads: list[float] = []

    def resident() -> int:
        reads.append(now[0])
        return 1

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(_vitals, "resident_bytes", resident)
    vitals = Vitals(Losses(), lambda _: None)
    for _ in range(25):
        vitals.sample()
        now[0] += 1
    assert reads == [1_000.0, 1_010.0, 1_020.0]
