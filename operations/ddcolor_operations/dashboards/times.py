"""Time ranges as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from .request import TimeRange

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class TimeError(ValueError):
    """A text is no time or time range; the message says what would be."""


def last(text: str, now: datetime | None = None) -> TimeRange:
    """Return the range from ``text`` (``30m``, ``24h``, ``7d``) ago until now."""
    match = re.fullmatch(r"([1-9]\d{0,3})([mhd])", text)
    if match is None:
        raise TimeError(f"{text!r} is no length of time; it has to be like 30m, 24h or 7d")
    end = now or datetime.now(UTC)
    return TimeRange(end - timedelta(**{_UNITS[match[2]]: int(match[1])}), end)


def between(start: str, end: str | None) -> TimeRange:
    """Return the range between two ISO 8601 times, until now without ``end``.

    A time without a zone is one of this machine's clock.
    """
    time = TimeRange(_moment(start), datetime.now(UTC) if end is None else _moment(end))
    if time.start >= time.end:
        raise TimeError(f"the range ends ({time.end}) before it begins ({time.start})")
    return time


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TimeError(f"{text!r} is no time; it has to be like 2026-03-01T08:30+08:00") from error
