"""Every panel of the dashboards, asked of a real Elasticsearch with real documents."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch.helpers import bulk

from comfyui_telemetry import semconv
from ddcolor_operations.cli import cli
from ddcolor_operations.dashboards.check_lens import check_fields
from ddcolor_operations.dashboards.check_objects import Problem
from ddcolor_operations.dashboards.fields import Fields, mapped
from ddcolor_operations.dashboards.lens import data_view
from ddcolor_operations.dashboards.request import TimeRange
from ddcolor_operations.dashboards.run import Table, run
from ddcolor_operations.dashboards.saved_objects import FOLDER, build, declared_fields
from ddcolor_operations.dashboards.source import load
from ddcolor_operations.rules.documents import to_document
from tests.support.dashboard_story import tell
from tests.support.elastic import Pipeline, eventually, log_line

# A busy machine takes its time to start three servers, which counts for the first test.
pytestmark = pytest.mark.timeout(300)

Objects = list[dict[str, Any]]


@pytest.fixture(scope="module")
def objects() -> Objects:
    """Return the saved objects that the sources make."""
    return build(load(FOLDER))


@pytest.fixture(scope="module")
def times(pipeline: Pipeline, objects: Objects) -> TimeRange:
    """Return the time range of a told day, all of whose documents can be found.

    No panel may be empty here, not even an optional one.
    """
    start = datetime.now(UTC) - timedelta(seconds=1)
    tell(pipeline)
    times = TimeRange(start, start + timedelta(minutes=5))
    eventually(lambda: _problems(run(pipeline.client, objects, times)), lambda found: not found, 60)
    return times


def _problems(tables: Iterator[Table]) -> list[Problem]:
    return [problem for table in tables for problem in table.problems]


def _fields(pipeline: Pipeline, objects: Objects) -> dict[str, Fields]:
    views = [data_view(item) for item in objects if item["type"] == "index-pattern"]
    return {view.id: mapped(pipeline.client, view) for view in views}


def _changed(objects: Objects, change: Callable[[dict[str, Any]], None]) -> Objects:
    """Return the objects with the columns of one panel (Photos, in the overview) changed."""
    changed = copy.deepcopy(objects)
    overview = next(item for item in changed if item["id"] == "ddcolor-overview")
    panels = json.loads(overview["attributes"]["panelsJSON"])
    panel = next(panel for panel in panels if panel["title"] == "Photos")
    (layer,) = panel["embeddableConfig"]["attributes"]["state"]["datasourceStates"]["formBased"][
        "layers"
    ].values()
    (column,) = layer["columns"].values()
    change(column)
    overview["attributes"]["panelsJSON"] = json.dumps(panels)
    return changed


def test_every_column_of_every_panel_shows_something(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """Each panel and saved search of the eight dashboards has data in each of its columns."""
    tables = list(run(pipeline.client, objects, times))
    assert _problems(iter(tables)) == []
    dashboards = {table.where.split(" › ")[0] for table in tables if " › " in table.where}
    assert len(dashboards) == 8


def test_every_field_is_mapped_as_the_panels_need_it(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """Elasticsearch has each field of each panel, aggregatable and of the right type."""
    assert check_fields(objects, _fields(pipeline, objects)) == []


def test_declared_fields_are_those_of_elasticsearch(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """What the offline check takes a field for is what Elasticsearch has it as."""
    for view_id, offline in declared_fields(load(FOLDER)).items():
        online = _fields(pipeline, objects)[view_id]
        differing = {
            name: (offline[name].kibana_type, online[name].kibana_type)
            for name in offline.keys() & online.keys()
            if offline[name].kibana_type != online[name].kibana_type
        }
        assert differing == {}


def test_the_command_runs_every_panel(pipeline: Pipeline, times: TimeRange) -> None:
    """The command's check passes on an Elasticsearch with data, and says that it ran."""
    arguments = ["dashboards", "check", "--elasticsearch", pipeline.url, "--since", "30m"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "panels run, 0 problems" in result.output


def test_the_waterfall_places_spans_after_their_start(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """The first span begins at 0 ms and each one after it not before."""
    tables = run(pipeline.client, objects, times)
    table = next(table for table in tables if table.where.endswith("Where the time went"))
    (offset,) = [column for column, label in table.labels.items() if label == "After the start"]
    offsets = [row[offset] for row in table.rows]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)


def test_a_time_range_without_data_is_found(pipeline: Pipeline, objects: Objects) -> None:
    """Kibana imports a dashboard whose data is not there; running it says so for each panel."""
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    tables = list(run(pipeline.client, objects, TimeRange(long_ago, long_ago + timedelta(hours=1))))
    assert [table.where for table in tables if not table.problems] == []


def test_a_column_that_only_late_records_have_is_not_empty(
    pipeline: Pipeline, objects: Objects
) -> None:
    """The first documents of a saved search are shown, but all of them fill its columns."""
    start = datetime(2026, 1, 6, tzinfo=UTC)
    actions = []
    for second in range(501):
        at = start + timedelta(seconds=second)
        late = {semconv.NODE_CLASS_TYPE: "LoadImage"} if second == 500 else {}
        line = log_line("A record", **{**late, "@timestamp": at.isoformat()})
        actions.append(
            {
                "_op_type": "create",
                "_index": "logs-ddcolor.otel-columns",
                "_source": to_document(line, at),
            }
        )
    # Without the pipeline that would stamp them with the time of today.
    bulk(pipeline.client.options(request_timeout=60), actions, pipeline="_none", refresh=True)
    tables = run(pipeline.client, objects, TimeRange(start, start + timedelta(hours=1)))
    table = next(table for table in tables if table.where == "search Log lines")
    assert not any(row.get(semconv.NODE_CLASS_TYPE) for row in table.rows)
    assert table.problems == ()


def test_an_unmapped_field_is_found(pipeline: Pipeline, objects: Objects, times: TimeRange) -> None:
    """A field that no document has is named."""
    changed = _changed(
        objects, lambda column: column.update(operationType="sum", sourceField="ddcolor.nothing")
    )
    (problem,) = check_fields(changed, _fields(pipeline, objects))
    assert "ddcolor.nothing is unmapped" in problem.text


def test_a_field_of_the_wrong_type_is_found(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """A sum over words is named."""
    changed = _changed(
        objects, lambda column: column.update(operationType="sum", sourceField="service.name")
    )
    (problem,) = check_fields(changed, _fields(pipeline, objects))
    assert "sum cannot take service.name" in problem.text


def test_a_text_that_cannot_be_aggregated_is_found(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """A count of different messages is named, since message is a text."""
    changed = _changed(
        objects, lambda column: column.update(operationType="unique_count", sourceField="message")
    )
    (problem,) = check_fields(changed, _fields(pipeline, objects))
    assert "cannot be aggregated" in problem.text


def test_a_filter_that_matches_nothing_is_found(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """A count that is 0 everywhere is as empty as no value."""
    query = {"query": "comfyui.prompt.outcome: perfect", "language": "kuery"}
    changed = _changed(objects, lambda column: column.update(filter=query))
    (problem,) = _problems(run(pipeline.client, changed, times))
    assert "nothing matches comfyui.prompt.outcome: perfect" in problem.text


def test_a_search_that_elasticsearch_refuses_is_found(
    pipeline: Pipeline, objects: Objects, times: TimeRange
) -> None:
    """A query that is no KQL is named with Elasticsearch's reason."""
    query = {"query": "comfyui.prompt.outcome: (", "language": "kuery"}
    changed = _changed(objects, lambda column: column.update(filter=query))
    (problem,) = _problems(run(pipeline.client, changed, times))
    assert problem.where == "DDColor overview › Photos"
    assert problem.text.startswith("Elasticsearch refuses it: ")
