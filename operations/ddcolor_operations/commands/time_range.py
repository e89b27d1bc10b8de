"""Options that choose a range of time, and the range they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ddcolor_operations.dashboards.request import TimeRange
from ddcolor_operations.dashboards.times import TimeError, between, last

_Function = TypeVar("_Function", bound=Callable[..., Any])


def time_range_options(function: _Function) -> _Function:
    """Add ``--last``, ``--from`` and ``--to``."""
    length = click.option("--last", "length", help="Take the last 30m, 24h, 7d; default: 24h.")
    start = click.option(
        "--from", "start", metavar="TIME", help="Begin here, as 2026-03-01T08:30+08:00."
    )
    end = click.option("--to", "end", metavar="TIME", help="End here; default: now.")
    return length(start(end(function)))


def time_range(length: str | None, start: str | None, end: str | None) -> TimeRange:
    """Return the range that the options name; raises click.UsageError."""
    if length is not None and start is not None:
        raise click.UsageError("--last and --from exclude each other.")
    if end is not None and start is None:
        raise click.UsageError("--to needs --from.")
    try:
        return last(length or "24h") if start is None else between(start, end)
    except TimeError as error:
        raise click.UsageError(f"{error}.") from error
