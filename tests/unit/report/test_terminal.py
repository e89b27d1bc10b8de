"""A trace in the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from comfyui_telemetry import semconv
from ddcolor_operations.elastic.queries import LogRecord
from ddcolor_operations.report import terminal
from ddcolor_operations.report.spans import total_s, waterfall
from tests.support import runs


def printed(shown: RenderableType, width: int = 100) -> list[str]:
    """Return the lines that a terminal of ``width`` columns shows."""
    stream = io.StringIO()
    Console(file=stream, width=width).print(shown)
    return stream.getvalue().splitlines()


def test_every_bar_has_the_same_width_and_is_visible() -> None:
    """Even a span of no length leaves a mark, and none leaves its row."""
    rows = waterfall(runs.failed_trace())
    bars = [terminal.bar(row, total_s(rows), cells=20).plain for row in rows]

    assert {len(text) for text in bars} == {20}
    assert all("━" in text for text in bars)
    assert bars[0].startswith("━ ")
    assert bars[3].endswith("━")


def test_a_trace_of_no_length_can_be_drawn() -> None:
    """Spans that took no time at all are no division by zero."""
    (row,) = waterfall([runs.span("a", None, "x", 0.0, 0.0)])

    assert "━" in terminal.bar(row, 0.0, 20).plain


def test_a_line_tells_offset_duration_outcome_and_kind() -> None:
    """What a reader wants first is beside the bar."""
    rows = waterfall(runs.failed_trace())
    line = next(x for x in printed(terminal.waterfall_table(rows, 100)) if "DDColor_Col" in x)

    assert line.split() == [
        "node",
        "DDColor_Colorize",
        *[part for part in line.split() if set(part) == {"━"}],
        "+200",
        "ms",
        "2.3",
        "s",
        "failed",
        "out_of_memory",
    ]


@pytest.mark.parametrize("width", [40, 71, 72, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """On a narrow terminal each bar has a line of its own."""
    rows = waterfall(runs.failed_trace())
    lines = printed(terminal.waterfall_table(rows, width), width)

    assert max(map(len, lines)) <= width
    assert sum("━" in line for line in lines) == len(rows)


def test_attributes_have_their_units() -> None:
    """Of the attributes those of interest are shown, as people read them."""
    attributes = {
        semconv.MODEL_NAME: "a.pth",
        semconv.INFERENCE_DURATION: 2.1,
        semconv.DEVICE_MEMORY_PEAK: 1_200_000_000,
        semconv.NODE_ID: "2",
    }
    row = waterfall([runs.span("a", None, "node X", 0.0, 1.0, **attributes)])  # type: ignore[arg-type]
    (line,) = printed(terminal.facts_of(row))

    assert line.split() == [
        "node",
        "X",
        "model.name=a.pth",
        "inference.duration_s=2.1",
        "s",
        "device.memory_peak=1.2",
        "GB",
    ]


def test_a_message_is_not_taken_for_markup() -> None:
    """Square brackets of a log line are shown as they are."""
    record = LogRecord("u", runs.START, "error", "[red]x[/]", None, None, None, None, {}, {})
    (line,) = printed(terminal.log_lines([record], runs.START.tzinfo))

    assert line.split() == ["08:30:00.000", "error", "[red]x[/]"]
