"""Runs the panels of built dashboards on an Elasticsearch: none may be empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import ApiError, Elasticsearch

from . import lens
from .check_objects import Problem
from .model import DataView
from .request import Row, TimeRange, query, rows, search_body

# A count that is 0 everywhere is as empty as a missing value: its filter matches nothing.
_COUNTS = ("count", "unique_count")


@dataclass(frozen=True, slots=True)
class Table:
    """What a panel shows: labels of its columns, and rows by column id."""

    where: str
    labels: Mapping[str, str]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]


def run(
    client: Elasticsearch, objects: Sequence[Mapping[str, Any]], time: TimeRange
) -> Iterator[Table]:
    """Ask ``client`` what each panel and saved search asks for, and yield what it answers.

    ``objects`` have passed the offline checks. A search that Elasticsearch refuses is a problem of
    its panel.
    """
    views = {
        item["id"]: lens.data_view(item) for item in objects if item["type"] == "index-pattern"
    }
    for item in objects:
        if item["type"] == "search":
            found = lens.search(item)
            yield _run_search(client, found, views[found.view_id], time)
        elif item["type"] == "dashboard":
            for panel in lens.lens_panels(item):
                for layer_id, layer in panel.layers.items():
                    view = views[lens.view_of(panel, layer_id) or ""]
                    yield _run_layer(client, panel, layer, view, time)


def _run_layer(
    client: Elasticsearch,
    panel: lens.LensPanel,
    layer: Mapping[str, Any],
    view: DataView,
    time: TimeRange,
) -> Table:
    columns = layer["columns"]
    labels = {name: str(column["label"]) for name, column in columns.items()}
    body = search_body(view, [panel.query], layer, time)
    try:
        answer = client.search(index=view.pattern, **_arguments(body))
    except ApiError as error:
        return _refused(panel.where, labels, error)
    table = rows(layer, answer.body)
    return Table(panel.where, labels, tuple(table), tuple(_empty(panel.where, columns, table)))


def _run_search(
    client: Elasticsearch, search: lens.Search, view: DataView, time: TimeRange
) -> Table:
    labels = {name: name for name in search.columns}
    body = {
        "size": 500,
        "query": query([search.query], time),
        "fields": list(search.columns),
        "_source": False,
    }
    try:
        answer = client.search(index=view.pattern, **_arguments(body))
    except ApiError as error:
        return _refused(search.where, labels, error)
    table = tuple(
        {name: ", ".join(map(str, values)) for name, values in hit.get("fields", {}).items()}
        for hit in answer["hits"]["hits"]
    )
    if not table:
        problems = [Problem(search.where, "no data in the time range")]
    else:
        problems = [
            Problem(search.where, f"column {name} is empty in every document")
            for name in search.columns
            if not any(row.get(name) for row in table)
        ]
    return Table(search.where, labels, table, tuple(problems))


def _empty(where: str, columns: Mapping[str, Any], table: Sequence[Row]) -> Iterator[Problem]:
    """Find the columns that show nothing in any row, also those that only a formula uses."""
    if not table:
        yield Problem(where, "no data in the time range")
        return
    for name, column in columns.items():
        values = [row.get(name) for row in table]
        counts = column["operationType"] in _COUNTS
        if all(value is None or (counts and value == 0) for value in values):
            query_text = column.get("filter", {}).get("query")
            reason = f" (nothing matches {query_text})" if query_text else ""
            yield Problem(where, f"column {column['label']} is empty{reason}")


def _refused(where: str, labels: Mapping[str, str], error: ApiError) -> Table:
    body = error.body if isinstance(error.body, dict) else {}
    causes = body.get("error", {}).get("root_cause", [])
    reason = "; ".join(str(cause.get("reason")) for cause in causes) or str(error)
    return Table(where, labels, (), (Problem(where, f"Elasticsearch refuses it: {reason}"),))


def _arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request's body as the client's arguments; ``_source`` is ``source`` there."""
    return {key.lstrip("_"): value for key, value in body.items()}
