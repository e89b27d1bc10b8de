"""Which panels count as empty: on canned answers, each case by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from elasticsearch import Elasticsearch

from ddcolor_operations.dashboards.check_lens import check_fields
from ddcolor_operations.dashboards.fields import Field
from ddcolor_operations.dashboards.lens import lens_panels
from ddcolor_operations.dashboards.request import TimeRange
from ddcolor_operations.dashboards.run import Table, run
from ddcolor_operations.dashboards.saved_objects import FOLDER, build, declared_fields, optional_ids
from ddcolor_operations.dashboards.source import load
from tests.support.canned import Canned

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = TimeRange(START, START + timedelta(hours=1))
SOURCES = load(FOLDER)
OBJECTS = build(SOURCES)
OPTIONAL = optional_ids(SOURCES)


def tables(client: Canned, optional: frozenset[str] = OPTIONAL) -> dict[str, Table]:
    """Return what each Lens panel shows, by dashboard and title."""
    asked = run(cast(Elasticsearch, client), OBJECTS, HOUR, optional)
    return {table.where: table for table in asked if " › " in table.where}


def test_full_panels_have_no_problem() -> None:
    """Where every bucket has values nothing is said."""
    found = tables(Canned(3, 1.5))
    assert [problem for table in found.values() for problem in table.problems] == []
    assert not any(table.blank for table in found.values())


def test_a_panel_without_any_value_is_found() -> None:
    """Bars of a time axis are there without data, too; they do not make a panel full."""
    found = tables(Canned(0, None))
    photos = found["DDColor overview › Photos per minute by outcome"]
    assert photos.blank
    assert [problem.text for problem in photos.problems] == ["column Photos per minute is empty"]


def test_an_optional_panel_may_be_empty_as_a_whole() -> None:
    """A machine without a GPU has no figures of one, and that is no mistake."""
    gpu = "DDColor resources › GPU memory"
    assert tables(Canned(0, None))[gpu].problems == ()
    assert tables(Canned(0, None), frozenset())[gpu].problems != ()


def test_an_optional_column_may_be_empty_by_itself() -> None:
    """Documents without a device's peak still have all that the other columns show."""
    cost = tables(Canned(3, None))["DDColor resources › What a picture costs by its size"]
    texts = [problem.text for problem in cost.problems]
    assert "column Inference is empty" in texts
    assert "column Peak GPU memory is empty" not in texts


def test_a_sum_of_nothing_is_empty() -> None:
    """Elasticsearch answers 0 for the sum of a field that no document has."""
    lost = "DDColor pipeline › Taken by Elasticsearch, per second"
    assert len(tables(Canned(3, 0.0))[lost].problems) == 3


def test_a_refused_search_is_a_problem_also_of_an_optional_panel() -> None:
    """An answer that never came is no empty answer."""
    for table in tables(Canned(0, None, refuses=True)).values():
        assert table.refused == "no such thing"
        assert [problem.text for problem in table.problems] == [
            "Elasticsearch refuses it: no such thing"
        ]


def test_fields_of_optional_panels_are_looked_up_in_the_declarations() -> None:
    """Where nothing has told of containers, the type of their fields is still checked."""
    promised = declared_fields(SOURCES)
    field = "metrics.container.memory.usage.total"
    there = {
        view: {name: item for name, item in fields.items() if "container" not in name}
        for view, fields in promised.items()
    }
    assert check_fields(OBJECTS, there, OPTIONAL, promised) == []
    texts = [problem.text for problem in check_fields(OBJECTS, there)]
    assert any(f"{field} is unmapped" in text for text in texts)
    wrong = {
        view: {**fields, **({field: Field("keyword", True)} if field in fields else {})}
        for view, fields in promised.items()
    }
    texts = [problem.text for problem in check_fields(OBJECTS, wrong, OPTIONAL, promised)]
    assert texts == [f"Memory: max cannot take {field}, a keyword"]


def test_a_mapped_field_of_the_wrong_type_is_wrong_also_where_it_is_optional() -> None:
    """What is really there wins over what was promised."""
    promised = declared_fields(SOURCES)
    field = "metrics.hw.gpu.utilization"
    there = {
        view: {**fields, **({field: Field("keyword", True)} if field in fields else {})}
        for view, fields in promised.items()
    }
    texts = [problem.text for problem in check_fields(OBJECTS, there, OPTIONAL, promised)]
    assert texts == [f"Busy: average cannot take {field}, a keyword"]


def test_every_panel_of_the_project_has_one_layer() -> None:
    """The runner asks for the one layer that the builder makes."""
    for item in OBJECTS:
        if item["type"] == "dashboard":
            assert all(len(panel.layers) == 1 for panel in lens_panels(item))
