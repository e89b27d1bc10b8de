"""From sources to NDJSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ddcolor_operations.dashboards.model import ChartPanel, SourceError, Sources, Value
from ddcolor_operations.dashboards.saved_objects import BUILT, FOLDER, build, to_ndjson
from ddcolor_operations.dashboards.source import load


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Return the project's own sources."""
    return load(FOLDER)


def built_panel(sources: Sources, values: tuple[Value, ...]) -> dict[str, Any]:
    """Return the layer of the overview's first chart, built with other values."""
    overview = sources.dashboards[0]
    panel = next(panel for panel in overview.panels if isinstance(panel, ChartPanel))
    changed = replace(overview, panels=(replace(panel, values=values),))
    objects = build(replace(sources, dashboards=(changed,)))
    (built,) = json.loads(objects[-1]["attributes"]["panelsJSON"])
    layers = built["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["formBased"]
    (layer,) = layers["layers"].values()
    found: dict[str, Any] = layer
    return found


def test_the_built_file_is_in_step_with_the_sources(sources: Sources) -> None:
    """The NDJSON that is kept is, byte for byte, what the sources make."""
    assert BUILT.read_bytes() == to_ndjson(build(sources))


def test_there_are_the_eight_dashboards_and_the_views_that_messages_link_to() -> None:
    """The ids are those that links and bookmarks hold."""
    ids = {(item["type"], item["id"]) for item in map(json.loads, BUILT.read_bytes().splitlines())}
    names = ("overview", "nodes", "prompt", "errors", "resources", "alerts", "models", "pipeline")
    assert {("dashboard", f"ddcolor-{name}") for name in names} <= ids
    assert {("index-pattern", "ddcolor-logs"), ("index-pattern", "ddcolor-traces")} <= ids


def test_every_dashboard_links_to_all_others() -> None:
    """The first panel leads to the seven other dashboards."""
    items = map(json.loads, BUILT.read_bytes().splitlines())
    for item in (item for item in items if item["type"] == "dashboard"):
        first = json.loads(item["attributes"]["panelsJSON"])[0]
        markdown = first["embeddableConfig"]["savedVis"]["params"]["markdown"]
        assert markdown.count("](#/view/ddcolor-") == 7


def test_trace_ids_lead_to_the_prompt() -> None:
    """The data views make a link of each trace id, relative to base path and space."""
    for item in map(json.loads, BUILT.read_bytes().splitlines()):
        if item["id"] in ("ddcolor-logs", "ddcolor-traces"):
            link = json.loads(item["attributes"]["fieldFormatMap"])["trace_id"]
            assert link["params"]["urlTemplate"].startswith(
                "../app/dashboards#/view/ddcolor-prompt?"
            )


def test_a_formula_is_stored_with_its_parts(sources: Sources) -> None:
    """A formula has a column for each aggregation and one for its arithmetic."""
    text = "count(kql='log.level: error') / count()"
    layer = built_panel(sources, (Value("formula", "Rate", formula=text),))
    (name,) = (n for n, c in layer["columns"].items() if c["operationType"] == "formula")
    parts = [layer["columns"][f"{name}X{number}"] for number in range(3)]
    assert [part["operationType"] for part in parts] == ["count", "count", "math"]
    assert parts[0]["filter"] == {"query": "log.level: error", "language": "kuery"}
    assert parts[2]["params"]["tinymathAst"] == {
        "type": "function",
        "name": "divide",
        "args": [f"{name}X0", f"{name}X1"],
        "location": {"min": 0, "max": len(text)},
        "text": text,
    }
    assert layer["columns"][name]["references"] == [f"{name}X2"]


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("count() /", "position 9"),
        ("counting()", "a known function"),
        ("1 + 2 $", "position 5"),
        ("sum()", "a field"),
        ("percentile(comfyui.prompt.duration_s)", "percentile=1 to 99"),
        ("count(shift='1d')", "kql='…'"),
        ("7", "no aggregation"),
        ("overall_sum(count())", "exactly one dimension"),
    ],
)
def test_a_wrong_formula_is_said_with_its_place(sources: Sources, formula: str, said: str) -> None:
    """What Lens would not understand is refused, with dashboard and panel."""
    with pytest.raises(SourceError) as caught:
        built_panel(sources, (Value("formula", "Rate", formula=formula),))
    assert "overview, panel Photos" in str(caught.value)
    assert said in str(caught.value)


def test_a_field_that_nothing_emits_is_refused(sources: Sources) -> None:
    """A typing error is found before anything is built."""
    with pytest.raises(SourceError, match=r"no field 'comfyui\.nothing'"):
        built_panel(sources, (Value("max", "Most", field="comfyui.nothing"),))
