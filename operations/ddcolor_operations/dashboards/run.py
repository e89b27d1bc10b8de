"""Runs the panels of built dashboards on an Elasticsearch: what they show, and which are empty."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from elasticsearch import ApiError, Elasticsearch

from . import lens
from .check_objects import Problem
from .model import DataView
from .names import TIME_FIELD
from .request import Row, TimeRange, query, rows, search_body

# A count or sum that is 0 everywhere is as empty as a missing value: its filter matches nothing.
_COUNTS = ("count", "unique_count", "sum")
_MOST_DOCUMENTS = 500
_COLUMNS = "columns"


@dataclass(frozen=True, slots=True)
class Table:
    """What a panel shows: labels of its columns, and rows by column id.

    ``panel_id`` is that of the panel or saved search. ``empty`` names the columns without any
    value, also those that only a formula uses. ``blank`` says that no value is there at all, though
    there may be rows: a time axis has its bars without data, too. ``refused`` is why Elasticsearch
    did not answer; empty: it did.
    """

    panel_id: str
    where: str
    labels: Mapping[str, str]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    empty: tuple[str, ...] = ()
    blank: bool = False
    refused: str = ""


class Runner:
    """Asks one Elasticsearch what the panels of ``objects`` ask for, over one time range.

    ``objects`` have passed the offline checks. A search that Elasticsearch refuses is a problem of
    its panel; that it cannot be reached is raised (elastic_transport.TransportError).
    """

    def __init__(
        self, client: Elasticsearch, objects: Sequence[Mapping[str, Any]], time: TimeRange
    ) -> None:
        self._client = client
        self._time = time
        self._views = {
            item["id"]: lens.data_view(item) for item in objects if item["type"] == "index-pattern"
        }

    def panel(self, panel: lens.LensPanel, also: str = "") -> Table:
        """Return what a Lens panel shows; ``also`` is one more KQL query that must hold."""
        # Ours have one layer each, which the builder makes.
        ((layer_id, layer),) = panel.layers.items()
        view = self._views[lens.view_of(panel, layer_id) or ""]
        columns = layer["columns"]
        labels = {name: str(column["label"]) for name, column in columns.items()}
        body = search_body(view, [panel.query, also], layer, self._time)
        try:
            answer = self._ask(view, body)
        except ApiError as error:
            return _refused(panel.panel_id, panel.where, labels, error)
        table = rows(layer, answer, self._time)
        empty = [name for name, column in columns.items() if _shows_nothing(name, column, table)]
        values = {name for name, column in columns.items() if not column["isBucketed"]}
        return Table(
            panel_id=panel.panel_id,
            where=panel.where,
            labels=labels,
            rows=tuple(table),
            problems=tuple(_empty(panel.where, [columns[name] for name in empty], table)),
            empty=tuple(empty),
            blank=values.issubset(empty),
        )

    def search(self, search: lens.Search, also: str = "") -> Table:
        """Return the documents of a saved search, at most 500, with the time of each."""
        names = (TIME_FIELD, *search.columns)
        labels = {name: name for name in names}
        body = {
            "size": _MOST_DOCUMENTS,
            "query": query([search.query, also], self._time),
            "sort": [{TIME_FIELD: search.order}],
            "fields": list(names),
            "_source": False,
            # The documents shown may lack a column that later ones have.
            "aggs": {_COLUMNS: {"filters": {"filters": _having(search.columns)}}},
        }
        try:
            answer = self._ask(self._views[search.view_id], body)
        except ApiError as error:
            return _refused(search.search_id, search.where, labels, error)
        table = tuple(
            {name: ", ".join(map(str, values)) for name, values in hit.get("fields", {}).items()}
            for hit in answer["hits"]["hits"]
        )
        if not table:
            problems = [Problem(search.where, "no data in the time range")]
        else:
            having = answer["aggregations"][_COLUMNS]["buckets"]
            problems = [
                Problem(search.where, f"column {name} is empty in every document")
                for name in search.columns
                if not having[name]["doc_count"]
            ]
        return Table(
            search.search_id, search.where, labels, table, tuple(problems), blank=not table
        )

    def _ask(self, view: DataView, body: Mapping[str, Any]) -> Mapping[str, Any]:
        # The client calls the body's ``_source`` ``source``.
        arguments = {key.lstrip("_"): value for key, value in body.items()}
        answer: Mapping[str, Any] = self._client.search(index=view.pattern, **arguments).body
        return answer


def run(
    client: Elasticsearch,
    objects: Sequence[Mapping[str, Any]],
    time: TimeRange,
    optional: Collection[str] = (),
) -> Iterator[Table]:
    """Ask ``client`` what each panel and saved search asks for, and yield what it answers.

    The panels with the ids in ``optional`` may show nothing at all, but not a part of it; columns
    with the ids in it may show nothing by themselves.
    """
    runner = Runner(client, objects, time)
    for item in objects:
        if item["type"] == "search":
            yield _excused(runner.search(lens.search(item)), optional)
        elif item["type"] == "dashboard":
            for panel in lens.lens_panels(item):
                yield _excused(runner.panel(panel), optional)


def _having(columns: Sequence[str]) -> dict[str, Any]:
    return {name: {"exists": {"field": name}} for name in columns}


def _excused(table: Table, optional: Collection[str]) -> Table:
    if table.refused or not table.problems:
        return table
    if table.blank and table.panel_id in optional:
        return replace(table, problems=())
    if table.blank or not table.empty:
        return table
    # One problem for each empty column; a formula's parts are called after it.
    kept = tuple(
        problem
        for name, problem in zip(table.empty, table.problems, strict=True)
        if not any(name.startswith(one) for one in optional)
    )
    return replace(table, problems=kept)


def _shows_nothing(name: str, column: Mapping[str, Any], table: Sequence[Row]) -> bool:
    counts = column["operationType"] in _COUNTS
    values = (row.get(name) for row in table)
    return all(value is None or (counts and value == 0) for value in values)


def _empty(
    where: str, columns: Sequence[Mapping[str, Any]], table: Sequence[Row]
) -> Iterator[Problem]:
    """Name the empty columns, also those that only a formula uses."""
    if not table:
        yield Problem(where, "no data in the time range")
        return
    for column in columns:
        query_text = column.get("filter", {}).get("query")
        reason = f" (nothing matches {query_text})" if query_text else ""
        yield Problem(where, f"column {column['label']} is empty{reason}")


def _refused(panel_id: str, where: str, labels: Mapping[str, str], error: ApiError) -> Table:
    body = error.body if isinstance(error.body, dict) else {}
    causes = body.get("error", {}).get("root_cause", [])
    reason = "; ".join(str(cause.get("reason")) for cause in causes) or str(error)
    problem = Problem(where, f"Elasticsearch refuses it: {reason}")
    return Table(panel_id, where, labels, (), (problem,), blank=True, refused=reason)
