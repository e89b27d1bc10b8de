"""Quiet hours: when what is not urgent waits for the morning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from ddcolor_operations.notifier.settings import ConfigError, Section

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to ``end`` of the clock in ``zone``, over midnight if need be."""

    start: time
    end: time
    zone: tzinfo

    @classmethod
    def from_section(cls, section: Section, zone: tzinfo) -> QuietHours:
        """Read ``from``, ``to`` and ``timezone`` (default: ``zone``)."""
        hours = cls(
            start=_clock(section, "from"),
            end=_clock(section, "to"),
            zone=section.zone("timezone") or zone,
        )
        if hours.start == hours.end:
            raise ConfigError(f"{section.where('to')}: the quiet hours end when they begin")
        section.done()
        return hours

    def end_after(self, now: float) -> float | None:
        """Return when the quiet hours that hold at ``now`` end (s since the epoch), else None."""
        local = datetime.fromtimestamp(now, self.zone)
        clock = local.time()
        if self.start < self.end:
            quiet, days = self.start <= clock < self.end, 0
        else:
            quiet, days = clock >= self.start or clock < self.end, int(clock >= self.start)
        if not quiet:
            return None
        # The clock's reading is set in local time: an hour of summer time more or less lies
        # between only when it does.
        date = local.date() + timedelta(days=days)
        return datetime.combine(date, self.end, self.zone).astimezone(UTC).timestamp()


def _clock(section: Section, name: str) -> time:
    # YAML reads an unquoted 22:30 as 22 * 60 + 30.
    minutes = section.minutes(name)
    if minutes is not None:
        return time(minutes // 60, minutes % 60)
    text = section.text(name)
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ConfigError(f"{section.where(name)}: {text!r} is no time of day: give 22:30")
    return time(int(match[1]), int(match[2]))
