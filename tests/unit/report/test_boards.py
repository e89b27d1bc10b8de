"""Dashboards with answers in them, and the figures of their panels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from elasticsearch import Elasticsearch

from ddcolor_operations.dashboards.model import Area, ChartPanel, Dimension, Order, Value
from ddcolor_operations.dashboards.panels import ColumnIds
from ddcolor_operations.dashboards.request import Row, TimeRange
from ddcolor_operations.dashboards.run import Runner
from ddcolor_operations.dashboards.saved_objects import FOLDER, build
from ddcolor_operations.dashboards.source import load
from ddcolor_operations.report.boards import Block, Board, Boards
from ddcolor_operations.report.figures import Tones, bars_of, chart
from tests.support.canned import TRACE_ID, Canned
from tests.support.figures import checked

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = TimeRange(START, START + timedelta(hours=1))
SOURCES = load(FOLDER)
OBJECTS = build(SOURCES)


def boards(client: Canned) -> dict[str, Board]:
    """Return every dashboard with the canned answers."""
    runner = Runner(cast(Elasticsearch, client), OBJECTS, HOUR)
    made = Boards(SOURCES, OBJECTS, str, UTC)
    return {each.name: made.board(each, runner) for each in SOURCES.dashboards}


def blocks(client: Canned) -> dict[str, Block]:
    """Return the blocks of all dashboards, by dashboard and title."""
    return {
        f"{name} › {block.title}": block
        for name, board in boards(client).items()
        for block in board.blocks
    }


def panel(chart_type: str, values: list[Value], **more: Any) -> ChartPanel:
    """Return a panel with rows of one field, or as told."""
    options: dict[str, Any] = {"rows": (Dimension("kind", "Kind"),), "split": None, **more}
    return ChartPanel(
        title="T",
        area=Area(0, 0, 1, 1),
        chart=chart_type,  # type: ignore[arg-type]
        view="logs",
        where="",
        values=tuple(values),
        **options,
    )


def drawn(made: ChartPanel, rows: list[Row], tones: Tones | None = None) -> dict[str, Any]:
    """Return the figure of ``made``; rows have row0, split, value0 and so on."""
    ids = ColumnIds(["row0"], "split", [f"value{n}" for n in range(len(made.values))])
    if made.split is None:
        ids = ColumnIds(ids.rows, None, ids.values)
    figure = chart(made, ids, rows, str, UTC, tones or Tones())
    checked(figure)
    return figure


def test_every_panel_of_every_dashboard_has_its_figure_table_or_number() -> None:
    """All of them are made, and plotly's schema takes each figure."""
    made = blocks(Canned(3, 1.5))
    charts = [p for d in SOURCES.dashboards for p in d.panels if isinstance(p, ChartPanel)]
    assert len(made) > len(charts)
    for name, block in made.items():
        kinds = (block.figure is not None, bool(block.rows), bool(block.metrics))
        assert sum(kinds) == 1, name
        if block.figure is not None:
            checked(block.figure)


def test_an_empty_panel_says_why_that_may_be() -> None:
    """An optional one has its excuse; a metric shows its nothing."""
    made = blocks(Canned(0, None))
    gpu = made["resources › GPU memory"]
    assert (gpu.blank, gpu.figure) == (True, None)
    assert gpu.excuse == "No service has told of a GPU."
    assert made["overview › Photos"].metrics == [("", "0")]
    assert made["overview › Success rate"].metrics == [("", "–")]
    assert made["overview › Last faults"].blank


def test_a_metric_without_any_row_is_blank() -> None:
    """Before the first alert no level has a number: the panel says that there is nothing."""

    class Nothing(Canned):
        def _answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
            return {"buckets": []} if "terms" in asked else super()._answer(asked)

    levels = blocks(Nothing(0, None))["overview › Alerts by level"]
    assert (levels.blank, levels.metrics) == (True, [])


def test_a_refused_panel_says_why() -> None:
    """The reason of Elasticsearch is shown in the panel's place."""
    made = blocks(Canned(3, 1.5, refuses=True))
    assert {block.refused for block in made.values()} == {"no such thing"}


def test_trace_ids_lead_to_the_prompt() -> None:
    """Tables and log lists with a trace id name it as a target."""
    made = boards(Canned(3, 1.5))
    assert set(made["nodes"].traces(5)) == {TRACE_ID}
    assert set(made["overview"].traces(5)) == {TRACE_ID}
    assert list(made["resources"].traces(5)) == []


def test_a_board_can_be_of_one_trace() -> None:
    """Each of its searches asks for that trace, too."""
    asked: list[Mapping[str, Any]] = []

    class Noting(Canned):
        def search(self, **request: Any) -> Any:
            asked.append(request)
            return super().search(**request)

    runner = Runner(cast(Elasticsearch, Noting(3, 1.5)), OBJECTS, HOUR)
    prompt = next(each for each in SOURCES.dashboards if each.name == "prompt")
    board = Boards(SOURCES, OBJECTS, str, UTC).board(prompt, runner, TRACE_ID)
    assert board.trace_id == TRACE_ID
    assert len(asked) == len(board.blocks)
    wanted = {"kql": {"query": f'trace_id: "{TRACE_ID}"'}}
    assert all(wanted in request["query"]["bool"]["filter"] for request in asked)


def test_values_of_two_units_have_two_axes() -> None:
    """Seconds and prompts are not measured by one scale."""
    made = panel("lines", [Value("max", "Waiting", unit="whole"), Value("max", "Wait", unit="s")])
    figure = drawn(made, [{"row0": "a", "value0": 3, "value1": 1.5}])
    assert [trace.get("yaxis") for trace in figure["data"]] == [None, "y2"]
    assert figure["layout"]["yaxis2"]["ticksuffix"] == " s"


def test_times_are_on_the_readers_clock() -> None:
    """plotly.js shows a time as it is written, so that it is written in the reader's zone."""
    made = panel("bars", [Value("count", "N")], rows=(Dimension("@timestamp", "", is_time=True),))
    figure = drawn(made, [{"row0": "2026-03-01T08:30:00.000Z", "value0": 1}])
    assert figure["data"][0]["x"] == ["2026-03-01 08:30:00"]
    assert figure["layout"]["xaxis"]["type"] == "date"


def test_series_that_mean_something_have_their_colour() -> None:
    """Failed is red on every dashboard, whichever series it is; others take turns."""
    made = panel("bars_stacked", [Value("count", "N")], split=Dimension("outcome", "Outcome"))
    rows: list[Row] = [
        {"row0": "a", "split": split, "value0": 1} for split in ("other", "failed", "success")
    ]
    figure = drawn(made, rows)
    colours = {trace["name"]: trace["marker"]["color"] for trace in figure["data"]}
    assert colours == {"other": "--c1", "failed": "--bad", "success": "--good"}
    levels = panel(
        "bars_stacked", [Value("count", "N")], split=Dimension("ddcolor.alert.level", "Level")
    )
    figure = drawn(levels, [{"row0": "a", "split": 3, "value0": 1}])
    assert figure["data"][0]["marker"]["color"] == "--l3"


def test_a_name_has_the_same_colour_in_every_chart() -> None:
    """A model's version is recognised from panel to panel, wherever it comes in the order."""
    made = panel("lines", [Value("count", "N")], split=Dimension("version", "Version"))
    tones = Tones()
    colours = [
        {trace["name"]: trace["line"]["color"] for trace in drawn(made, rows, tones)["data"]}
        for rows in (
            [{"row0": "a", "split": split, "value0": 1} for split in ("old", "new")],
            [{"row0": "a", "split": split, "value0": 1} for split in ("new", "old")],
        )
    ]
    assert colours == [{"old": "--c1", "new": "--c2"}, {"new": "--c2", "old": "--c1"}]


def test_a_series_without_any_value_is_left_out() -> None:
    """A checkpoint that never ran has no line, and no place in the legend."""
    made = panel("lines", [Value("max", "N")], split=Dimension("version", "Version"))
    rows: list[Row] = [
        {"row0": "a", "split": "ran", "value0": 1.5},
        {"row0": "a", "split": "missing", "value0": None},
    ]
    assert [trace["name"] for trace in drawn(made, rows)["data"]] == ["ran"]


def test_bars_below_each_other_begin_with_the_largest_sum() -> None:
    """Over all series, since each brings a ranking of its own."""
    made = panel(
        "bars_horizontal_stacked", [Value("count", "N")], split=Dimension("outcome", "Outcome")
    )
    rows: list[Row] = [
        {"row0": "small", "split": "x", "value0": 3},
        {"row0": "large", "split": "x", "value0": 2},
        {"row0": "large", "split": "y", "value0": 2},
    ]
    figure = drawn(made, rows)
    assert figure["layout"]["yaxis"]["categoryarray"] == ["large", "small"]
    assert figure["layout"]["yaxis"]["autorange"] == "reversed"
    assert bars_of(made, ColumnIds(["row0"], "split", ["value0"]), rows) == 2


@pytest.mark.parametrize(
    ("keys", "expected"),
    [(["1024", "512", "64"], ["64", "512", "1024"]), (["b", "a", "7"], ["7", "a", "b"])],
)
def test_rows_by_the_alphabet_are_sorted_as_people_sort(
    keys: list[str], expected: list[str]
) -> None:
    """Numbers by their size."""
    rows_by = Dimension("size", "Size", order=Order("alphabet"))
    made = panel("bars", [Value("count", "N")], rows=(rows_by,))
    figure = drawn(made, [{"row0": key, "value0": 1} for key in keys])
    assert figure["layout"]["xaxis"]["categoryarray"] == expected


def test_texts_of_the_data_are_no_markup() -> None:
    """plotly.js would make a link of an anchor in a message."""
    made = panel("bars_horizontal", [Value("count", "N")])
    key = '<a href="https://example.com">' + "x" * 40
    figure = drawn(made, [{"row0": key, "value0": 1}])
    axis = figure["layout"]["yaxis"]
    assert "<" not in "".join((*figure["data"][0]["y"], *axis["categoryarray"], *axis["ticktext"]))
    assert axis["ticktext"][0].endswith("…")


def test_a_transparent_value_only_pushes_the_bar_to_its_place() -> None:
    """The waterfall's offset is neither in the legend nor under the pointer."""
    values = [Value("max", "After", color="#00000000"), Value("max", "Took", color="#6092C0")]
    figure = drawn(
        panel("bars_horizontal_stacked", values), [{"row0": "a", "value0": 1, "value1": 2}]
    )
    offset, bar = figure["data"]
    assert (offset["showlegend"], offset["hoverinfo"]) == (False, "skip")
    assert bar["marker"]["color"] == "--accent"
    assert figure["layout"]["barmode"] == "stack"
