"""Quiet hours: over midnight, in their own time zone, on days that are an hour short or long."""

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ddcolor_operations.notifier.quiet_hours import QuietHours
from ddcolor_operations.notifier.settings import ConfigError, Section

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22, 30), time(7), SHANGHAI)
NOON_BREAK = QuietHours(time(12), time(13, 30), SHANGHAI)


def at(text: str, zone: ZoneInfo = SHANGHAI) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("hours", "now", "end"),
    [
        (NIGHT, "2026-03-01T22:29:59", None),
        (NIGHT, "2026-03-01T22:30:00", "2026-03-02T07:00:00"),
        (NIGHT, "2026-03-01T23:59:59", "2026-03-02T07:00:00"),
        (NIGHT, "2026-03-02T00:00:00", "2026-03-02T07:00:00"),
        (NIGHT, "2026-03-02T06:59:59", "2026-03-02T07:00:00"),
        (NIGHT, "2026-03-02T07:00:00", None),
        (NIGHT, "2026-12-31T23:00:00", "2027-01-01T07:00:00"),
        (NOON_BREAK, "2026-03-01T11:59:59", None),
        (NOON_BREAK, "2026-03-01T12:00:00", "2026-03-01T13:30:00"),
        (NOON_BREAK, "2026-03-01T13:30:00", None),
    ],
)
def test_the_hours_begin_and_end_to_the_second(
    hours: QuietHours, now: str, end: str | None
) -> None:
    """Their end is that of the morning that comes."""
    assert hours.end_after(at(now)) == (None if end is None else at(end))


def test_the_zone_is_that_of_the_people_not_of_the_machine() -> None:
    """23:00 in Shanghai is 15:00 in UTC."""
    now = datetime(2026, 3, 1, 15, 0, tzinfo=UTC).timestamp()

    assert NIGHT.end_after(now) == datetime(2026, 3, 1, 23, 0, tzinfo=UTC).timestamp()
    assert QuietHours(time(22, 30), time(7), ZoneInfo("UTC")).end_after(now) is None


@pytest.mark.parametrize(("evening", "hours"), [("2026-03-28T23:00", 7), ("2026-10-24T23:00", 9)])
def test_the_clock_ends_them_also_when_it_is_changed_in_the_night(evening: str, hours: int) -> None:
    """07:00 is 07:00, seven or nine hours later."""
    now = at(evening, BERLIN)

    assert QuietHours(time(22), time(7), BERLIN).end_after(now) == now + hours * 3600


def read(**settings: Any) -> QuietHours:
    return QuietHours.from_section(
        Section(settings, "quiet_hours", base=Path(), secrets={}), SHANGHAI
    )


def test_times_may_stand_in_quotes_or_not() -> None:
    """YAML reads an unquoted 22:30 as 1350."""
    assert read(**{"from": 1350, "to": "07:00"}) == NIGHT
    assert read(**{"from": "22:30", "to": "7:00", "timezone": "Asia/Shanghai"}) == NIGHT


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"from": "22:30"}, "quiet_hours.to: a text is needed"),
        ({"from": "24:00", "to": "07:00"}, "quiet_hours.from: '24:00' is no time of day"),
        ({"from": "07:00", "to": "07:00"}, "quiet_hours.to: the quiet hours end when they begin"),
        ({"from": "22:30", "to": "07:00", "timezone": "Mars"}, "quiet_hours.timezone: 'Mars'"),
        ({"from": "22:30", "to": "07:00", "until": "x"}, "quiet_hours.until: unknown setting"),
    ],
)
def test_a_wrong_time_is_named(settings: dict[str, Any], error: str) -> None:
    """With what would be right."""
    with pytest.raises(ConfigError, match=error):
        read(**settings)
