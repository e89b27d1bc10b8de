"""Checks of Lens panels: all that Kibana imports with success and then cannot show."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from . import lens
from .check_objects import Problem
from .fields import Fields
from .lens import LensPanel
from .names import RECORDS, layer_reference

# A field in a KQL query stands before a colon or a comparison, outside of quotes.
_KQL_FIELD = re.compile(r'"(?:[^"\\]|\\.)*"|([A-Za-z_@][\w.@]*)\s*(?::|<=|>=|<|>)')
# Keys that an older Kibana does not know and then shows everything wrong.
_FORBIDDEN = ("colorMapping", "showApplySelections")


def check_panels(objects: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Return what is wrong with the state of the Lens panels, without looking at fields."""
    problems = []
    for dashboard in objects:
        if dashboard.get("type") != "dashboard":
            continue
        where = f"dashboard {dashboard.get('id')}"
        try:
            panels = list(lens.lens_panels(dashboard))
        except ValueError:
            continue  # said by check_objects
        except (KeyError, TypeError) as error:
            problems.append(Problem(where, f"a panel is not as Lens keeps it: {error!r}"))
            continue
        names = {reference["name"]: reference["id"] for reference in dashboard["references"]}
        for panel in panels:
            problems += [Problem(panel.where, text) for text in _panel(panel, names)]
        for key in _FORBIDDEN:
            if key in str(dashboard["attributes"]):
                problems.append(Problem(where, f"{key} breaks on an older Kibana"))
    return problems


def check_fields(
    objects: Sequence[Mapping[str, Any]],
    fields_of: Mapping[str, Fields],
    optional: Collection[str] = (),
    promised: Mapping[str, Fields] | None = None,
) -> list[Problem]:
    """Return each field that is unmapped, cannot be aggregated or is of the wrong type.

    ``fields_of`` holds the fields of each data view by its id. What is unmapped there is looked up
    in ``promised`` for the panels and searches with the ids in ``optional``.
    """

    def fields_for(id_: str, view_id: str) -> Fields:
        found = fields_of.get(view_id, {})
        return {**(promised or {}).get(view_id, {}), **found} if id_ in optional else found

    problems: list[Problem] = []
    for item in objects:
        if item["type"] == "dashboard":
            for panel in lens.lens_panels(item):
                for layer_id, layer in panel.layers.items():
                    fields = fields_for(panel.panel_id, lens.view_of(panel, layer_id) or "")
                    texts = [*_queried(panel.query, fields), *_layer_fields(layer, fields)]
                    problems += [Problem(panel.where, text) for text in texts]
        elif item["type"] == "search":
            found = lens.search(item)
            fields = fields_for(found.search_id, found.view_id)
            texts = [
                *_queried(found.query, fields),
                *(f"column {name} is unmapped" for name in found.columns if name not in fields),
            ]
            problems += [Problem(found.where, text) for text in texts]
    return problems


def _panel(panel: LensPanel, names: Mapping[str, str]) -> Iterator[str]:
    if panel.kind not in lens.VISUALIZATIONS:
        yield f"unknown visualization {panel.kind}"
        return
    for layer_id, layer in panel.layers.items():
        name = layer_reference(layer_id)
        if lens.view_of(panel, layer_id) is None:
            yield f"the panel's reference {name} is missing: it would spin for ever"
        if f"{panel.panel_id}:{name}" not in names:
            yield f"the dashboard's reference {panel.panel_id}:{name} is missing"
        yield from _layer(layer)
    for layer_id, shown in lens.accessors(panel).items():
        columns = panel.layers.get(layer_id, {}).get("columns", {})
        if not columns:
            yield f"it shows a layer {layer_id} that has no columns"
        for column_id in shown:
            if column_id not in columns:
                yield f"it shows a column {column_id} that is not there"


def _layer(layer: Mapping[str, Any]) -> Iterator[str]:
    columns: Mapping[str, Any] = layer["columns"]
    if sorted(layer["columnOrder"]) != sorted(columns):
        yield "columnOrder does not name exactly the columns"
    for column_id, column in columns.items():
        label, operation = column.get("label", column_id), column["operationType"]
        if operation not in lens.OPERATIONS:
            yield f"{label}: unknown operationType {operation}"
            continue
        if operation not in lens.REFERRING and "sourceField" not in column:
            yield f"{label}: it has no field"
        references = column.get("references", [])
        if operation in lens.REFERRING and not references:
            yield f"{label}: it refers to no column"
        for reference in references:
            if reference not in columns:
                yield f"{label}: it refers to a column {reference} that is not there"
        if operation == "terms":
            yield from _ranking(label, column["params"], columns)


def _ranking(label: str, params: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    order = params["orderBy"]
    if order["type"] == "column":
        ranked = columns.get(order["columnId"])
        if ranked is None:
            yield f"{label}: it is ranked by a column that is not there"
        elif ranked["operationType"] in lens.REFERRING:
            yield f"{label}: it cannot be ranked by {ranked['operationType']}"
    elif order["type"] == "custom" and "orderAgg" not in params:
        yield f"{label}: what it is ranked by is missing"


def _layer_fields(layer: Mapping[str, Any], fields: Fields) -> Iterator[str]:
    for column in layer["columns"].values():
        yield from _column_field(column, fields)
        if "orderAgg" in column.get("params", {}):
            yield from _column_field(column["params"]["orderAgg"], fields)


def _column_field(column: Mapping[str, Any], fields: Fields) -> Iterator[str]:
    label, operation = column.get("label", ""), column["operationType"]
    if "filter" in column:
        yield from _queried(column["filter"]["query"], fields)
    name = column.get("sourceField", RECORDS)
    types = lens.OPERATIONS.get(operation)
    if name == RECORDS or types is None:
        return
    field = fields.get(name)
    if field is None:
        yield f"{label}: field {name} is unmapped: the axes would be empty"
    elif not field.aggregatable:
        yield f"{label}: field {name} ({field.type}) cannot be aggregated"
    elif field.kibana_type not in types:
        yield f"{label}: {operation} cannot take {name}, a {field.type}"
    elif operation == "terms" and field.kibana_type != column["dataType"]:
        yield f"{label}: {name} is a {field.type}, not a {column['dataType']}"


def _queried(query: str, fields: Fields) -> Iterator[str]:
    for match in _KQL_FIELD.finditer(query):
        if match[1] and match[1] not in fields:
            yield f"the query asks for {match[1]}, which is unmapped: {query}"
