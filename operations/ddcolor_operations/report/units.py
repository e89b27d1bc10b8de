"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime, tzinfo

NOTHING = "–"
_PREFIXES = ("B", "kB", "MB", "GB", "TB", "PB")


def seconds(value: float) -> str:
    """Write a duration in seconds for people: ``250 µs``, ``42 ms``, ``3.1 s``, ``2 m 05 s``."""
    if value >= 99.95:
        minutes, rest = divmod(round(value), 60)
        if minutes >= 100:
            hours, minutes = divmod(minutes, 60)
            return f"{hours} h {minutes:02d} m"
        return f"{minutes} m {rest:02d} s"
    if value >= 0.9995:
        return f"{value:.1f} s"
    return f"{value * 1e3:.0f} ms" if value >= 0.0009995 else f"{value * 1e6:.0f} µs"


def size(value: float) -> str:
    """Write a number of bytes: ``512 B``, ``1.6 GB``; a falling one has its sign."""
    sign, rest = ("-" if value < 0 else ""), abs(value)
    for prefix in _PREFIXES:
        if rest < 999.5 or prefix == _PREFIXES[-1]:
            break
        rest /= 1000
    return (
        f"{sign}{rest:.0f} {prefix}"
        if prefix == "B" or rest >= 99.5
        else f"{sign}{rest:.3g} {prefix}"
    )


def number(value: float) -> str:
    """Write a plain number: whole ones with all digits, others with three that matter."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def written(value: float | None, unit: str) -> str:
    """Write a value of a panel in its unit; what is not there is a dash."""
    if value is None:
        return NOTHING
    match unit:
        case "s":
            return f"-{seconds(-value)}" if value < 0 else seconds(value)
        case "ms":
            return written(value / 1000, "s")
        case "bytes":
            return size(value)
        case "percent":
            return f"{value:.1%}"
        case "whole":
            return f"{value:,.0f}"
        case _:
            return number(value)


def clock(moment: datetime, zone: tzinfo | None) -> str:
    """Write a moment on the clock of ``zone`` (None: this machine's), to the second."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
