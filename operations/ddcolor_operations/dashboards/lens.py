"""What is known of Lens' state, and how the layers of built dashboards are read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .model import DataView, RuntimeField
from .names import TIME_FIELD, layer_reference

# Operation -> the Kibana types of fields it takes; None: it takes no field.
OPERATIONS: Mapping[str, tuple[str, ...] | None] = {
    "average": ("number",),
    "count": None,
    "date_histogram": ("date",),
    "formula": None,
    "math": None,
    "max": ("number", "date"),
    "median": ("number",),
    "min": ("number", "date"),
    "overall_average": None,
    "overall_max": None,
    "overall_min": None,
    "overall_sum": None,
    "percentile": ("number",),
    "sum": ("number",),
    "terms": ("string", "number", "boolean", "date"),
    "unique_count": ("string", "number", "boolean", "date"),
}
# Computed by Kibana from other columns; Elasticsearch is not asked for them.
REFERRING = tuple(name for name, types in OPERATIONS.items() if types is None and name != "count")

VISUALIZATIONS = ("lnsDatatable", "lnsMetric", "lnsXY")


@dataclass(frozen=True, slots=True)
class LensPanel:
    """A by-value Lens panel. ``where`` names dashboard and panel for people."""

    where: str
    panel_id: str
    kind: str
    visualization: Mapping[str, Any]
    query: str
    layers: Mapping[str, Mapping[str, Any]]
    references: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Search:
    """A saved search: its data view, KQL, columns, and ``asc`` or ``desc`` by time."""

    where: str
    search_id: str
    view_id: str
    query: str
    columns: tuple[str, ...]
    order: str


def panels_of(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a dashboard object; ValueError if they are not a JSON list."""
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    if not isinstance(panels, list):
        raise TypeError("panelsJSON is not a list")
    return panels


def lens_panels(dashboard: Mapping[str, Any]) -> Iterator[LensPanel]:
    """Yield the Lens panels of a dashboard object."""
    title = dashboard["attributes"].get("title", dashboard["id"])
    for panel in panels_of(dashboard):
        if panel.get("type") != "lens":
            continue
        attributes = panel["embeddableConfig"]["attributes"]
        state = attributes["state"]
        yield LensPanel(
            where=f"{title} › {panel.get('title', panel['panelIndex'])}",
            panel_id=panel["panelIndex"],
            kind=attributes["visualizationType"],
            visualization=state["visualization"],
            query=state["query"]["query"],
            layers=state["datasourceStates"]["formBased"]["layers"],
            references=tuple(attributes.get("references", ())),
        )


def view_of(panel: LensPanel, layer_id: str) -> str | None:
    """Return the id of a layer's data view, None if the reference is gone."""
    name = layer_reference(layer_id)
    return next((item["id"] for item in panel.references if item["name"] == name), None)


def accessors(panel: LensPanel) -> dict[str, list[str]]:
    """Return which columns of each layer the visualization shows."""
    state = panel.visualization
    if panel.kind == "lnsXY":
        return {
            layer["layerId"]: [
                *filter(None, (layer.get("xAccessor"), layer.get("splitAccessor"))),
                *layer.get("accessors", ()),
                *(config["forAccessor"] for config in layer.get("yConfig", ())),
            ]
            for layer in state.get("layers", ())
        }
    if panel.kind == "lnsDatatable":
        return {state["layerId"]: [column["columnId"] for column in state.get("columns", ())]}
    shown = (state.get("breakdownByAccessor"), state.get("metricAccessor"))
    return {state["layerId"]: [name for name in shown if name]}


def data_view(item: Mapping[str, Any]) -> DataView:
    """Return the data view that a saved object describes."""
    attributes = item["attributes"]
    runtime = {
        name: RuntimeField(field["type"], field["script"]["source"])
        for name, field in json.loads(attributes.get("runtimeFieldMap", "{}")).items()
    }
    return DataView(item["id"], attributes["title"], attributes.get("name", ""), runtime, {})


def search(item: Mapping[str, Any]) -> Search:
    """Return the saved search that a saved object describes."""
    attributes = item["attributes"]
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    view_id = next(
        (ref["id"] for ref in item["references"] if ref["name"] == source.get("indexRefName")), ""
    )
    sort = attributes.get("sort") or [[TIME_FIELD, "desc"]]
    return Search(
        where=f"search {attributes.get('title', item['id'])}",
        search_id=item["id"],
        view_id=view_id,
        query=source["query"]["query"],
        columns=tuple(attributes.get("columns", ())),
        order=sort[0][1],
    )
