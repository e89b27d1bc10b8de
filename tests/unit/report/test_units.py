"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ddcolor_operations.report.units import clock, seconds, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 µs"),
        (0.00025, "250 µs"),
        (0.042, "42 ms"),
        (0.9994, "999 ms"),
        (3.14, "3.1 s"),
        (125.0, "2 m 05 s"),
        (7260.0, "2 h 01 m"),
    ],
)
def test_durations(value: float, text: str) -> None:
    """A duration has the unit that suits it."""
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "–"),
        (-0.5, "s", "-500 ms"),
        (1500.0, "ms", "1.5 s"),
        (512, "bytes", "512 B"),
        (999_600, "bytes", "1 MB"),
        (1_600_000_000, "bytes", "1.6 GB"),
        (-2048.0, "bytes", "-2.05 kB"),
        (3e18, "bytes", "3000 PB"),
        (0.9876, "percent", "98.8%"),
        (1234567.0, "whole", "1,234,567"),
        (12.0, "", "12"),
        (0.04321, "", "0.0432"),
        (1234.5, "", "1,234"),
    ],
)
def test_values(value: float | None, unit: str, text: str) -> None:
    """Each unit of the sources is written, and a missing value is a dash."""
    assert written(value, unit) == text


def test_a_moment_is_shown_on_the_readers_clock() -> None:
    """A zone moves the clock, not the moment."""
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)

    assert clock(moment, timezone(timedelta(hours=8))) == "2026-03-01 20:00:00"
