"""Each fault that Kibana refuses, or takes and cannot show, is named by the offline check."""

from __future__ import annotations

import json

import pytest

from ddcolor_operations.dashboards.check_objects import read_ndjson
from tests.support.built_dashboards import BuiltDashboards

PHOTOS = "Photos"
BARS = "Photos per minute by outcome"


@pytest.fixture
def built() -> BuiltDashboards:
    """Return fresh copies of the built objects."""
    return BuiltDashboards()


def test_the_projects_own_dashboards_have_no_fault(built: BuiltDashboards) -> None:
    """Nothing is found in what the sources make."""
    assert built.problems() == []
    assert built.field_problems() == []


# --- Refused for the whole file ------------------------------------------------------------------


@pytest.mark.parametrize("key", ["coreMigrationVersion", "typeMigrationVersion"])
def test_a_version_that_is_too_new(built: BuiltDashboards, key: str) -> None:
    """A stamp above the floor would be refused by an older Kibana with 422."""
    built.overview[key] = "10.2.0"
    (problem,) = built.problems()
    assert f"{key} is 10.2.0" in problem


@pytest.mark.parametrize("key", ["coreMigrationVersion", "typeMigrationVersion"])
def test_a_version_that_is_absent(built: BuiltDashboards, key: str) -> None:
    """An object without a stamp would be answered with 500."""
    del built.overview[key]
    (problem,) = built.problems()
    assert f"{key} is absent" in problem


# --- Refused for one object ----------------------------------------------------------------------


def test_an_unknown_attribute(built: BuiltDashboards) -> None:
    """An attribute that not every supported Kibana knows is named."""
    built.overview["attributes"]["sections"] = []
    assert built.problems() == ["unknown attribute sections"]


def test_an_unknown_attribute_of_the_controls(built: BuiltDashboards) -> None:
    """The attribute showApplySelections is refused by 8.12."""
    built.overview["attributes"]["controlGroupInput"]["showApplySelections"] = False
    assert "unknown attribute controlGroupInput.showApplySelections" in built.problems()


def test_a_missing_title(built: BuiltDashboards) -> None:
    """An object without a title is named."""
    del built.overview["attributes"]["title"]
    assert built.problems() == ["the title is missing"]


def test_an_attribute_of_the_wrong_type(built: BuiltDashboards) -> None:
    """A text where a mapping belongs is named."""
    built.overview["attributes"]["refreshInterval"] = "1m"
    assert built.problems() == ["refreshInterval is a str, not a dict"]


def test_an_unknown_type_of_object(built: BuiltDashboards) -> None:
    """An object that is neither data view, search nor dashboard is named."""
    built.objects.append({**built.object("ddcolor-metrics"), "type": "canvas", "id": "other"})
    assert any("type 'canvas' is none of ours" in problem for problem in built.problems())


def test_a_reference_to_what_is_not_there(built: BuiltDashboards) -> None:
    """A search that is not in the file would be missing."""
    built.objects.remove(built.object("ddcolor-failures"))
    problems = set(built.problems())
    assert problems == {"its reference to search ddcolor-failures is not in the file"}


def test_two_objects_with_one_id(built: BuiltDashboards) -> None:
    """The second of two objects with the same id would replace the first."""
    built.objects.append(built.object("ddcolor-metrics"))
    assert built.problems() == ["its id is there twice"]


# --- Taken with success, and broken in the browser -----------------------------------------------


def test_panels_that_are_not_json(built: BuiltDashboards) -> None:
    """A dashboard whose panels cannot be read is named."""
    built.panels = []
    built.overview["attributes"]["panelsJSON"] = "[{"
    (problem,) = built.problems()
    assert problem.startswith("panelsJSON is not JSON")


def test_an_unknown_operation(built: BuiltDashboards) -> None:
    """A column whose operation Lens does not know breaks the panel."""
    built.column(PHOTOS, "count")["operationType"] = "counting"
    assert built.problems() == ["Photos: unknown operationType counting"]


def test_an_unknown_visualization(built: BuiltDashboards) -> None:
    """A chart type that Lens does not know breaks the panel."""
    built.panel(PHOTOS)["embeddableConfig"]["attributes"]["visualizationType"] = "lnsGauge3D"
    assert built.problems() == ["unknown visualization lnsGauge3D"]


def test_a_dropped_reference_of_the_dashboard(built: BuiltDashboards) -> None:
    """Without the dashboard's reference to its data view a panel spins for ever."""
    panel_id = built.panel(PHOTOS)["panelIndex"]
    references = built.overview["references"]
    references[:] = [item for item in references if not item["name"].startswith(panel_id)]
    (problem,) = built.problems()
    assert problem.startswith(
        f"the dashboard's reference {panel_id}:indexpattern-datasource-layer-"
    )


def test_a_dropped_reference_of_the_panel(built: BuiltDashboards) -> None:
    """Without its own reference to the data view a panel spins for ever, too."""
    built.panel(PHOTOS)["embeddableConfig"]["attributes"]["references"].clear()
    (problem,) = built.problems()
    assert "the panel's reference indexpattern-datasource-layer-" in problem


def test_a_dropped_reference_to_a_search(built: BuiltDashboards) -> None:
    """A panel of a saved search needs the search."""
    references = built.overview["references"]
    references[:] = [item for item in references if item["type"] != "search"]
    (problem,) = built.problems()
    assert problem.startswith("panel Last faults: the reference")


def test_a_dropped_reference_of_a_search(built: BuiltDashboards) -> None:
    """A saved search needs its data view."""
    built.object("ddcolor-failures")["references"].clear()
    assert built.problems() == ["the reference to its data view is missing"]


def test_a_dropped_reference_of_a_control(built: BuiltDashboards) -> None:
    """A list at the top needs its data view."""
    references = built.overview["references"]
    references[:] = [i for i in references if not i["name"].startswith("controlGroup_")]
    (problem,) = built.problems()
    assert problem.startswith("control ")


def test_columns_that_the_order_leaves_out(built: BuiltDashboards) -> None:
    """A column that columnOrder does not name is not asked for."""
    built.layer(BARS)["columnOrder"].pop()
    assert built.problems() == ["columnOrder does not name exactly the columns"]


def test_a_chart_that_shows_a_column_that_is_not_there(built: BuiltDashboards) -> None:
    """An accessor without a column shows nothing."""
    built.state(PHOTOS)["visualization"]["metricAccessor"] = "gone"
    assert built.problems() == ["it shows a column gone that is not there"]


def test_a_chart_that_shows_a_layer_that_is_not_there(built: BuiltDashboards) -> None:
    """A visualization of another layer shows nothing."""
    built.state(PHOTOS)["visualization"]["layerId"] = "gone"
    assert built.problems()[0] == "it shows a layer gone that has no columns"


def test_a_formula_whose_parts_are_gone(built: BuiltDashboards) -> None:
    """Kibana runs the columns stored beside a formula, not its text."""
    built.column("Success rate", "formula")["references"] = ["gone"]
    assert built.problems() == ["Success rate: it refers to a column gone that is not there"]


def test_a_formula_without_parts(built: BuiltDashboards) -> None:
    """A formula that refers to nothing shows nothing."""
    built.column("Success rate", "formula")["references"] = []
    assert built.problems() == ["Success rate: it refers to no column"]


def test_a_ranking_by_a_column_that_is_not_there(built: BuiltDashboards) -> None:
    """Terms ranked by a column need the column."""
    params = built.column("Alerts by level", "terms")["params"]
    params["orderBy"] = {"type": "column", "columnId": "gone"}
    assert built.problems() == ["Level: it is ranked by a column that is not there"]


def test_a_custom_ranking_without_its_aggregation(built: BuiltDashboards) -> None:
    """Terms ranked by an aggregation of their own need it."""
    built.column("Alerts by level", "terms")["params"]["orderBy"] = {"type": "custom"}
    assert built.problems() == ["Level: what it is ranked by is missing"]


def test_colours_that_an_older_kibana_shows_red(built: BuiltDashboards) -> None:
    """A colorMapping turns every series red on 8.12."""
    built.state(BARS)["visualization"]["layers"][0]["colorMapping"] = {}
    assert built.problems() == ["colorMapping breaks on an older Kibana"]


def test_an_esql_panel(built: BuiltDashboards) -> None:
    """A panel that is not form-based is named."""
    built.state(PHOTOS)["query"] = {"esql": "FROM logs-*"}
    (problem,) = built.problems()
    assert problem.startswith("a panel is not as Lens keeps it")


# --- The grid ------------------------------------------------------------------------------------


def test_a_panel_outside_of_the_grid(built: BuiltDashboards) -> None:
    """The grid has 48 columns."""
    built.panel("Alerts by level")["gridData"]["w"] = 17
    assert built.problems() == ["panel Alerts by level: it is not inside the 48 columns"]


def test_panels_that_overlap(built: BuiltDashboards) -> None:
    """Two panels on one cell push each other away."""
    built.panel("Success rate")["gridData"]["w"] = 9
    assert built.problems() == ["panel Time per photo, p95: it overlaps Success rate"]


# --- Empty axes ----------------------------------------------------------------------------------


def test_an_unmapped_field(built: BuiltDashboards) -> None:
    """A field that nothing emits leaves the axes empty."""
    built.column(BARS, "terms")["sourceField"] = "comfyui.prompt.outcom"
    assert built.field_problems() == [
        "Outcome: field comfyui.prompt.outcom is unmapped: the axes would be empty"
    ]


def test_an_unmapped_field_in_a_query(built: BuiltDashboards) -> None:
    """A query for a field that nothing emits matches nothing."""
    built.state(PHOTOS)["query"]["query"] = "event.nam: comfyui.prompt.finished"
    (problem,) = built.field_problems()
    assert problem.startswith("the query asks for event.nam, which is unmapped")


def test_an_unmapped_field_in_the_filter_of_a_column(built: BuiltDashboards) -> None:
    """So does the filter of one column."""
    filter_ = {"query": "comfyui.nothing: 1", "language": "kuery"}
    built.column(PHOTOS, "count")["filter"] = filter_
    (problem,) = built.field_problems()
    assert problem.startswith("the query asks for comfyui.nothing")


def test_an_unmapped_column_of_a_search(built: BuiltDashboards) -> None:
    """A saved search's column has to be a field."""
    built.object("ddcolor-failures")["attributes"]["columns"].append("nothing")
    assert built.field_problems() == ["column nothing is unmapped"]


def test_a_text_that_is_aggregated(built: BuiltDashboards) -> None:
    """A text has no values to count."""
    built.column(BARS, "terms")["sourceField"] = "message"
    assert built.field_problems() == ["Outcome: field message (text) cannot be aggregated"]


def test_a_field_of_the_wrong_type(built: BuiltDashboards) -> None:
    """Words have no percentiles."""
    built.column("Time per photo, p95", "percentile")["sourceField"] = "comfyui.prompt.outcome"
    assert built.field_problems() == [
        "p95: percentile cannot take comfyui.prompt.outcome, a keyword"
    ]


def test_terms_of_another_type_than_the_field(built: BuiltDashboards) -> None:
    """Lens formats terms by the type that the column names."""
    built.column("Alerts by level", "terms")["dataType"] = "string"
    assert built.field_problems() == ["Level: ddcolor.alert.level is a long, not a string"]


# --- The file ------------------------------------------------------------------------------------


def test_lines_that_are_no_objects() -> None:
    """A line that is not JSON, and one that is no saved object, are named by their numbers."""
    good = json.dumps({"type": "search", "attributes": {}})
    objects, problems = read_ndjson(f"{good}\nnonsense\n[1]\n".encode())
    assert len(objects) == 1
    assert [problem.where for problem in problems] == ["line 2", "line 3"]
