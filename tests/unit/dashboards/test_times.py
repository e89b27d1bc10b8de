"""Time ranges as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ddcolor_operations.dashboards.times import TimeError, between, last

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
    ],
)
def test_a_length_of_time_ends_now(text: str, length: timedelta) -> None:
    """Minutes, hours and days are known."""
    time = last(text, NOW)
    assert (time.start, time.end) == (NOW - length, NOW)


@pytest.mark.parametrize("text", ["", "24", "1w", "-1h", "0h", "24 h", "99999d"])
def test_what_is_no_length_is_refused_with_what_would_be(text: str) -> None:
    """The message shows the form."""
    with pytest.raises(TimeError, match="30m, 24h or 7d"):
        last(text)


def test_two_moments_make_a_range() -> None:
    """Zones count."""
    time = between("2026-03-01T08:30+08:00", "2026-03-01T12:00Z")
    assert time.start == datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
    assert time.end == NOW


@pytest.mark.parametrize(
    ("start", "end"),
    [("yesterday", None), ("2026-03-01T00:00Z", "soon"), ("0001-01-01T00:00+14:00", None)],
)
def test_what_is_no_moment_is_refused_with_what_would_be(start: str, end: str | None) -> None:
    """The message shows the form."""
    with pytest.raises(TimeError, match="2026-03-01T08:30"):
        between(start, end)


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    """Both ends are told."""
    with pytest.raises(TimeError, match=r"ends .* before it begins"):
        between("2026-03-02T00:00Z", "2026-03-01T00:00Z")
