"""A trace as a waterfall in the terminal, with what was logged in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from comfyui_telemetry import semconv
from ddcolor_operations.elastic.queries import LogRecord

from .spans import Row, total_s
from .units import seconds, size

# Below this width a bar has no room beside names and times, and takes a line of its own.
_NARROW = 72
_BAR_CELLS = (8, 40)
_OF_INTEREST = (
    semconv.SCENARIO,
    semconv.QUEUE_WAIT,
    semconv.MODEL_NAME,
    semconv.MODEL_SHA256,
    semconv.DEVICE,
    semconv.MODEL_INPUT_SIZE,
    semconv.MODEL_LOAD_DURATION,
    semconv.INFERENCE_DURATION,
    semconv.DEVICE_MEMORY_PEAK,
    semconv.IMAGE_WIDTH,
    semconv.IMAGE_HEIGHT,
    semconv.HTTP_RESPONSE_STATUS_CODE,
    semconv.ERROR_TYPE,
    semconv.ERROR_MESSAGE,
)
_SEVERITIES = {
    "critical": "bold red",
    "error": "red",
    "warning": "yellow",
    "debug": "dim",
}


def bar(row: Row, total: float, cells: int) -> Text:
    """Return the span's bar as text of ``cells`` cells, with at least one of them filled."""
    start = round(row.offset_s / total * cells) if total else 0
    start = min(start, cells - 1)
    filled = max(round(row.span.duration_s / total * cells), 1) if total else 1
    filled = min(filled, cells - start)
    style = "red" if row.failed else "green" if row.outcome else "blue"
    return Text.assemble(" " * start, ("━" * filled, style), " " * (cells - start - filled))


def waterfall_table(rows: Sequence[Row], width: int) -> RenderableType:
    """Return a line for each span: name, bar, offset, duration, outcome; for ``width`` cells."""
    total = total_s(rows)
    names = ["  " * row.depth + row.span.name for row in rows]
    details = [outcome(row) for row in rows]
    if width < _NARROW:
        lines: list[Text] = []
        for name, row, detail in zip(names, rows, details, strict=True):
            lines += [Text.assemble(name, "  ", detail), bar(row, total, max(width, 1))]
        return Group(*lines)
    taken = max(map(cell_len, names), default=0) + max((d.cell_len for d in details), default=0)
    least, most = _BAR_CELLS
    cells = min(max(width - taken - 16, least), most)
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for name, row, detail in zip(names, rows, details, strict=True):
        offset = Text(f"+{seconds(row.offset_s)}", "dim")
        table.add_row(Text(name), bar(row, total, cells), offset, detail)
    return table


def outcome(row: Row) -> Text:
    """Return how long the span took, how it ended and with which kind of error."""
    took = "" if row.took_s is None else seconds(row.took_s)
    facts = filter(None, (took, row.outcome, row.error_kind or (row.failed and "failed") or ""))
    return Text("  ".join(dict.fromkeys(facts)), "red" if row.failed else "")


def facts_of(rows: Sequence[Row]) -> RenderableType:
    """Return the attributes of interest of each span, under its name."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        found = [
            f"{_short(name)}={shown(name, row.span.attributes[name])}"
            for name in _OF_INTEREST
            if name in row.span.attributes
        ]
        if found:
            table.add_row(Text(row.span.name, "bold"), Text("  ".join(found)))
    return table


def log_lines(records: Sequence[LogRecord], zone: tzinfo | None) -> RenderableType:
    """Return the records as lines: clock, severity, message."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for record in records:
        style = _SEVERITIES.get(record.severity, "")
        table.add_row(
            Text(_clock(record.timestamp, zone), "dim"),
            Text(record.severity, style),
            Text(record.message, style),
        )
    return table


def shown(name: str, value: object) -> str:
    """Return an attribute's value with its unit."""
    unit = semconv.ATTRIBUTES[name].unit
    if unit == "s" and isinstance(value, int | float):
        return seconds(value)
    if unit == "By" and isinstance(value, int | float):
        return size(value)
    return str(value)


def _short(name: str) -> str:
    """Return the name without our own prefix; OpenTelemetry's names stay whole."""
    return name.removeprefix("ddcolor.").removeprefix("comfyui.")


def _clock(moment: datetime, zone: tzinfo | None) -> str:
    return moment.astimezone(zone).strftime("%H:%M:%S.%f")[:-3]
