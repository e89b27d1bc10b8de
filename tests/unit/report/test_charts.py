"""The charts of a run's report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.report import charts
from ddcolor_operations.report.figures import Figure
from ddcolor_operations.report.spans import waterfall
from tests.support import runs
from tests.support.figures import checked


def every_chart(folder: Path) -> dict[str, Figure]:
    """Return each chart of the made-up run."""
    run, evidence = runs.run(folder), runs.evidence()
    return {
        "trace": charts.trace_chart(evidence.traces[0].rows),
        "latency": charts.latency_chart(run.faults),
        "durations": charts.durations_chart(evidence.durations),
        "outcomes": charts.outcomes_chart(evidence.outcomes),
    }


@pytest.mark.parametrize("name", ["trace", "latency", "durations", "outcomes"])
def test_plotly_takes_every_chart(tmp_path: Path, name: str) -> None:
    """The library's own schema knows each property, and the page can hold it as JSON."""
    figure = every_chart(tmp_path)[name]

    checked(figure)
    assert json.loads(json.dumps(figure)) == figure


def test_a_waterfall_begins_each_bar_where_its_span_began() -> None:
    """Offsets and lengths are those of the spans, names are indented, failures are red."""
    figure = charts.trace_chart(waterfall(runs.failed_trace()))
    (bars,) = figure["data"]

    assert bars["base"] == pytest.approx([0.0, 0.015, 0.02, 0.2])
    assert bars["x"] == pytest.approx([0.012, 2.5, 0.17, 2.3])
    assert bars["marker"]["color"] == ["--request", "--bad", "--good", "--bad"]
    assert figure["layout"]["yaxis"]["ticktext"][2].strip("\u00a0") == "node LoadImage"
    assert "out_of_memory · 2.3 s" in bars["hovertext"][3]


def test_a_node_that_did_not_run_is_told_beside_its_place() -> None:
    """It has no length and took no time: its outcome stands outside the bar."""
    skipped = runs.span("a", None, "node SaveImage", 0.0, 0.0, **{semconv.NODE_OUTCOME: "skipped"})
    (bars,) = charts.trace_chart(waterfall([skipped]))["data"]

    assert (bars["text"], bars["textposition"]) == (["skipped"], ["outside"])


def test_each_alert_has_a_line_two_stations_and_its_channels(tmp_path: Path) -> None:
    """Dots are at the seconds of the deliveries, each in a lane of its own."""
    fault = runs.fault("lost", ("model_not_loaded", 3))
    line, indexed, accepted, dots = charts.latency_chart((fault,))["data"]

    assert line["x"] == [0, pytest.approx(3.3)]
    assert (indexed["x"][0], accepted["x"][0]) == (0.6, 2.2)
    assert dots["x"] == pytest.approx([2.4, 2.7, 3.0, 3.3])
    assert len(set(dots["y"])) == 4


def test_outcomes_are_stacked_in_their_colours() -> None:
    """Success is green and failure red, whatever comes first."""
    figure = charts.outcomes_chart(runs.evidence().outcomes)
    tones = {trace["name"]: trace["marker"]["color"] for trace in figure["data"]}

    assert tones == {"success": "--good", "failed": "--bad"}
    assert figure["layout"]["barmode"] == "stack"


def test_nothing_has_no_chart_that_fails(tmp_path: Path) -> None:
    """A run without faults or spans still has its report."""
    empty: list[Any] = []
    for figure in (
        charts.trace_chart(empty),
        charts.latency_chart(empty),
        charts.durations_chart(empty),
        charts.outcomes_chart(empty),
    ):
        checked(figure)


def test_a_name_is_no_markup() -> None:
    """Whatever a span is called, the library shows it as it is."""
    row = waterfall([runs.span("a", None, '<a href="https://example.com">x</a>', 0.0, 1.0)])
    figure = charts.trace_chart(row)

    assert "<a" not in json.dumps(figure)
