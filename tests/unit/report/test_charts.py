"""The SVG writer, the scales and the charts made with them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from ddcolor_operations.report import charts
from ddcolor_operations.report.scales import linear, logarithmic, seconds, tick_label
from ddcolor_operations.report.spans import waterfall
from ddcolor_operations.report.svg import Svg, percent
from tests.support import runs


def parse(markup: Markup) -> ElementTree.Element:
    """Read a chart as XML; what is not well formed raises."""
    return ElementTree.fromstring(str(markup))  # noqa: S314 - made by the code under test


def texts(chart: ElementTree.Element) -> list[str]:
    """Return the chart's visible texts."""
    return [element.text or "" for element in chart.iter("text")]


@given(st.text(), st.text())
def test_nothing_in_a_text_becomes_markup(content: str, title: str) -> None:
    """Whatever a span is called, it stays text."""
    svg = Svg(10, title)
    svg.dot(0.5, 5, 3, title, title)
    svg.text("0", 5, content)
    rendered = str(svg.render())

    assert rendered.count("<") == 2 * (3 + bool(title))
    assert "<script" not in rendered


def test_positions_are_clamped_to_the_chart() -> None:
    """A value outside the axis is drawn at its edge."""
    assert percent(-1) == "0.000%"
    assert percent(7) == "100.000%"


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_a_linear_scale_covers_its_maximum_with_few_round_ticks(maximum: float) -> None:
    """The axis reaches the value, not far beyond it, with a readable number of ticks."""
    scale = linear(maximum)

    assert scale.high >= maximum * (1 - 1e-9)
    assert scale.high <= 2.6 * maximum
    assert 2 <= len(scale.ticks) <= 6
    assert 0 <= scale.at(maximum) <= 1


@given(st.lists(st.floats(min_value=1e-6, max_value=1e5), min_size=1, max_size=9))
def test_a_logarithmic_scale_covers_its_values(values: list[float]) -> None:
    """Every value lies on the axis, in the order of the values."""
    scale = logarithmic(values)
    places = [scale.at(value) for value in sorted(values)]

    assert places == sorted(places)
    assert scale.low <= min(values) * (1 + 1e-9)
    assert scale.high >= max(values) * (1 - 1e-9)


def test_scales_of_nothing_can_be_drawn() -> None:
    """No data is an empty chart, not an error."""
    assert linear(0.0).at(0.0) == 0.0
    assert logarithmic([]).ticks == (1.0, 10.0)
    assert logarithmic([0.0]).at(0.0) == 0.0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 µs"),
        (0.00025, "250 µs"),
        (0.042, "42 ms"),
        (0.9999, "1.0 s"),
        (3.14, "3.1 s"),
        (34.02, "34.0 s"),
        (125.4, "2 m 05 s"),
    ],
)
def test_durations_are_written_for_people(value: float, shown: str) -> None:
    """A duration has the unit that fits its size."""
    assert seconds(value) == shown


def test_ticks_are_written_short() -> None:
    """A tick's label has no digit too many."""
    assert [tick_label(v) for v in (0, 0.0001, 0.5, 2.5, 100)] == [
        "0 s",
        "100 µs",
        "500 ms",
        "2.5 s",
        "100 s",
    ]


def test_a_trace_chart_names_each_span_and_marks_the_failed_ones() -> None:
    """The waterfall has a bar for each span, the failed ones in the failed colour."""
    chart = parse(charts.trace_chart(waterfall(runs.failed_trace()), "a trace"))
    bars = [rect.get("class") for rect in chart.iter("rect")]

    assert bars == ["bar request", "bar failed", "bar executed", "bar failed"]
    assert "node DDColor_Colorize" in texts(chart)
    assert "out_of_memory · 2.3 s" in texts(chart)


def test_the_latency_chart_has_a_dot_for_each_channel(tmp_path: Path) -> None:
    """Each message of each alert is one dot."""
    run = runs.run(tmp_path)
    chart = parse(charts.latency_chart(run.faults, "latency"))

    assert len(list(chart.iter("circle"))) == sum(len(fault.alerts) for fault in run.faults)
    assert "execution_error · L3" in texts(chart)


def test_the_outcomes_chart_stacks_what_happened() -> None:
    """A bucket with two outcomes is two bars on top of each other; an empty one has none."""
    buckets = [
        charts.Bucket(runs.START, {"success": 1, "failed": 2}),
        charts.Bucket(runs.START, {}),
    ]
    first, second = parse(charts.outcomes_chart(buckets, "outcomes")).iter("rect")

    assert first.get("class") == "bar success"
    assert second.get("class") == "bar failed"
    assert float(second.get("y", "")) + float(second.get("height", "")) == pytest.approx(
        float(first.get("y", ""))
    )


def test_charts_of_nothing_are_well_formed() -> None:
    """A run without data still has a report."""
    for chart in (
        charts.trace_chart([], "x"),
        charts.latency_chart([], "x"),
        charts.durations_chart([], "x"),
        charts.outcomes_chart([], "x"),
    ):
        parse(chart)
