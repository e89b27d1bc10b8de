"""Saved objects and the NDJSON file that Kibana imports: the same sources give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddcolor_operations.layout import project_root

from .fields import Fields, declared, runtime_mappings
from .model import ChartPanel, Dashboard, DataView, Search, Sources
from .names import CORE_VERSION, TIME_FIELD, TYPE_VERSIONS, dashboard_id, stable_id
from .panels import ColumnIds, PanelBuilder

SavedObject = dict[str, Any]

FOLDER = project_root() / "dashboards"
BUILT = FOLDER / "kibana.ndjson"
TEMPLATES = project_root() / "collector" / "elasticsearch"

_NO_QUERY = {"query": {"query": "", "language": "kuery"}, "filter": []}


def build(sources: Sources, templates: Path = TEMPLATES) -> list[SavedObject]:
    """Return all saved objects: data views first, then searches, then dashboards.

    Raises SourceError for a field that the conventions and ``templates`` do not declare.
    """
    fields = {name: declared(view, templates) for name, view in sources.views.items()}
    return [
        *(_data_view(view) for view in sources.views.values()),
        *(_search(search, sources.views[search.view]) for search in sources.searches.values()),
        *(_dashboard(dashboard, sources, fields) for dashboard in sources.dashboards),
    ]


def declared_fields(sources: Sources, templates: Path = TEMPLATES) -> dict[str, Fields]:
    """Return the declared fields of each data view, by its id."""
    return {view.id: declared(view, templates) for view in sources.views.values()}


def optional_ids(sources: Sources) -> frozenset[str]:
    """Return the ids of the panels, columns and searches that may be empty where all is well."""
    ids = {search.id for search in sources.searches.values() if search.optional}
    for dashboard in sources.dashboards:
        for panel in dashboard.panels:
            if isinstance(panel, ChartPanel):
                panel_id = stable_id(dashboard.name, panel.title)
                columns = zip(ColumnIds.of(panel, panel_id).values, panel.values, strict=True)
                ids |= {column for column, value in columns if value.optional}
                if panel.optional:
                    ids.add(panel_id)
    return frozenset(ids)


def to_ndjson(objects: list[SavedObject]) -> bytes:
    """Return the file's bytes: one object a line, keys sorted."""
    return b"".join(_json(item).encode() + b"\n" for item in objects)


def _data_view(view: DataView) -> SavedObject:
    formats = {
        name: {
            "id": "url",
            "params": {
                "type": "a",
                # Relative, so that it holds under any base path and in any space.
                "urlTemplate": f"../app/dashboards#/view/{dashboard_id(target)}?_a=(query:"
                f"(language:kuery,query:'{name}:%22{{{{value}}}}%22'))",
                "labelTemplate": "{{value}}",
                "openLinkInCurrentTab": True,
            },
        }
        for name, target in view.links.items()
    }
    attributes = {
        "title": view.pattern,
        "name": view.title,
        "timeFieldName": TIME_FIELD,
        "fieldFormatMap": _json(formats),
        "runtimeFieldMap": _json(runtime_mappings(view)),
        # Importing before the first document must not fail.
        "allowNoIndex": True,
    }
    return _saved_object("index-pattern", view.id, attributes, [])


def _search(search: Search, view: DataView) -> SavedObject:
    name = "kibanaSavedObjectMeta.searchSourceJSON.index"
    source = {
        "query": {"query": search.where, "language": "kuery"},
        "filter": [],
        "indexRefName": name,
    }
    attributes = {
        "title": search.title,
        "description": "",
        "columns": list(search.columns),
        "sort": [[TIME_FIELD, "asc" if search.oldest_first else "desc"]],
        "kibanaSavedObjectMeta": {"searchSourceJSON": _json(source)},
    }
    references = [{"name": name, "type": "index-pattern", "id": view.id}]
    return _saved_object("search", search.id, attributes, references)


def _dashboard(dashboard: Dashboard, sources: Sources, fields: Mapping[str, Fields]) -> SavedObject:
    navigation = " · ".join(
        f"**{other.title}**"
        if other is dashboard
        else f"[{other.title}](#/view/{dashboard_id(other.name)})"
        for other in sources.dashboards
    )
    builder = PanelBuilder(dashboard.name, sources.views, sources.searches, fields, navigation)
    panels = [builder.build(panel) for panel in dashboard.panels]
    attributes: dict[str, Any] = {
        "title": dashboard.title,
        "description": dashboard.description,
        "timeRestore": True,
        "timeFrom": dashboard.time_from,
        "timeTo": "now",
        "refreshInterval": {"pause": True, "value": 60000},
        "optionsJSON": _json({"useMargins": True, "hidePanelTitles": False, "syncColors": False}),
        "panelsJSON": _json(panels),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _json(_NO_QUERY)},
    }
    references = builder.references
    if dashboard.controls:
        attributes["controlGroupInput"], more = _controls(dashboard, sources.views)
        references += more
    return _saved_object("dashboard", dashboard_id(dashboard.name), attributes, references)


def _controls(
    dashboard: Dashboard, views: Mapping[str, DataView]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return the lists at the top of a dashboard, and their references."""
    panels: dict[str, Any] = {}
    references = []
    for order, control in enumerate(dashboard.controls):
        control_id = stable_id(dashboard.name, "control", control.field)
        panels[control_id] = {
            "type": "optionsListControl",
            "order": order,
            "width": "medium",
            "grow": True,
            "explicitInput": {
                "id": control_id,
                "fieldName": control.field,
                "title": control.title,
                "enhancements": {},
            },
        }
        references.append(
            {
                "name": f"controlGroup_{control_id}:optionsListDataView",
                "type": "index-pattern",
                "id": views[control.view].id,
            }
        )
    ignored = ("ignoreFilters", "ignoreQuery", "ignoreTimerange", "ignoreValidations")
    group = {
        "controlStyle": "oneLine",
        "chainingSystem": "HIERARCHICAL",
        "ignoreParentSettingsJSON": _json(dict.fromkeys(ignored, False)),
        "panelsJSON": _json(panels),
    }
    return group, references


def _saved_object(
    type_: str, id_: str, attributes: dict[str, Any], references: list[dict[str, str]]
) -> SavedObject:
    return {
        "type": type_,
        "id": id_,
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": CORE_VERSION,
        "typeMigrationVersion": TYPE_VERSIONS[type_],
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
