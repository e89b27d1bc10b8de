"""Checks of the saved objects: what an import refuses, and what it takes and then breaks on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .names import CORE_VERSION, TYPE_VERSIONS

_GRID_COLUMNS = 48

# Attributes that every Kibana from 8.12 on takes, with their types. One more is an error there.
_ATTRIBUTES: Mapping[str, Mapping[str, type]] = {
    "dashboard": {
        "title": str,
        "description": str,
        "panelsJSON": str,
        "optionsJSON": str,
        "kibanaSavedObjectMeta": dict,
        "timeRestore": bool,
        "timeFrom": str,
        "timeTo": str,
        "refreshInterval": dict,
        "controlGroupInput": dict,
    },
    "index-pattern": {
        "title": str,
        "name": str,
        "timeFieldName": str,
        "fieldFormatMap": str,
        "runtimeFieldMap": str,
        "allowNoIndex": bool,
    },
    "search": {
        "title": str,
        "description": str,
        "columns": list,
        "sort": list,
        "kibanaSavedObjectMeta": dict,
    },
}
_INNER: Mapping[str, frozenset[str]] = {
    "controlGroupInput": frozenset(
        ("controlStyle", "chainingSystem", "ignoreParentSettingsJSON", "panelsJSON")
    ),
    "kibanaSavedObjectMeta": frozenset(("searchSourceJSON",)),
    "refreshInterval": frozenset(("pause", "value")),
}
_TOP = frozenset(
    ("type", "id", "attributes", "references", "coreMigrationVersion", "typeMigrationVersion")
)
_PANEL_TYPES = ("lens", "search", "visualization")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: where it is, and what it is."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def read_ndjson(data: bytes) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the objects of an NDJSON file, and a problem for each line that is none."""
    objects, problems = [], []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            item = json.loads(line)
        except ValueError as error:
            problems.append(Problem(f"line {number}", f"it is not JSON: {error}"))
            continue
        if isinstance(item, dict) and isinstance(item.get("attributes"), dict):
            objects.append(item)
        else:
            problems.append(Problem(f"line {number}", "it is not a saved object"))
    return objects, problems


def check_objects(objects: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Return what is wrong with stamps, attributes, references and grids."""
    known = {(str(item.get("type")), str(item.get("id"))) for item in objects}
    problems = []
    seen: set[tuple[str, str]] = set()
    for item in objects:
        key = (str(item.get("type")), str(item.get("id")))
        where = f"{key[0]} {key[1]}"
        texts = [
            *_stamps(item),
            *_attributes(item),
            *_json_texts(item),
            *_references(item, known),
        ]
        if key in seen:
            texts.append("its id is there twice")
        seen.add(key)
        if key[0] == "dashboard":
            texts += _panels(item)
        problems += [Problem(where, text) for text in texts]
    return problems


def _stamps(item: Mapping[str, Any]) -> Iterator[str]:
    floor = TYPE_VERSIONS.get(str(item.get("type")))
    if floor is None:
        yield f"type {item.get('type')!r} is none of ours: {', '.join(TYPE_VERSIONS)}"
        return
    for key, expected in (("coreMigrationVersion", CORE_VERSION), ("typeMigrationVersion", floor)):
        found = item.get(key)
        if found is None:
            yield f"{key} is absent: Kibana answers 500 for the whole file"
        elif found != expected:
            yield f"{key} is {found}, not {expected}: an older Kibana refuses the whole file"
    if unknown := sorted(set(item) - _TOP):
        yield f"unknown key {', '.join(unknown)}"


def _attributes(item: Mapping[str, Any]) -> Iterator[str]:
    attributes = item["attributes"]
    allowed = _ATTRIBUTES.get(str(item.get("type")), {})
    if not attributes.get("title"):
        yield "the title is missing"
    for name, value in attributes.items():
        if name not in allowed:
            yield f"unknown attribute {name}"
        elif not isinstance(value, allowed[name]):
            yield f"{name} is a {type(value).__name__}, not a {allowed[name].__name__}"
        elif isinstance(value, dict) and (unknown := sorted(set(value) - _INNER[name])):
            yield f"unknown attribute {name}.{', '.join(unknown)}"


def _json_texts(item: Mapping[str, Any]) -> Iterator[str]:
    """Find attributes that hold JSON as text and are none: import takes them all the same."""
    pending = list(item["attributes"].items())
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += value.items()
        elif isinstance(value, str) and name.endswith(("JSON", "Map")):
            try:
                json.loads(value)
            except ValueError as error:
                yield f"{name} is not JSON: {error}"


def _references(item: Mapping[str, Any], known: set[tuple[str, str]]) -> Iterator[str]:
    references = item.get("references")
    if not isinstance(references, list):
        yield "references are missing"
        return
    names = [reference["name"] for reference in references]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two references are called {name}"
    for reference in references:
        if (reference["type"], reference["id"]) not in known:
            yield f"its reference to {reference['type']} {reference['id']} is not in the file"
    if item.get("type") == "search":
        yield from _search_reference(item, names)


def _search_reference(item: Mapping[str, Any], names: list[str]) -> Iterator[str]:
    text = item["attributes"].get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "")
    try:
        name = json.loads(text).get("indexRefName")
    except ValueError:
        return
    if name not in names:
        yield "the reference to its data view is missing"


def _panels(item: Mapping[str, Any]) -> Iterator[str]:
    try:
        panels = json.loads(item["attributes"]["panelsJSON"])
    except (KeyError, TypeError, ValueError):
        return
    if not isinstance(panels, list):
        yield "panelsJSON is not a list"
        return
    ids = [str(panel.get("panelIndex")) for panel in panels]
    for twice in sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        yield f"two panels have the id {twice}"
    names = {reference["name"] for reference in item.get("references") or ()}
    for panel in panels:
        where = f"panel {panel.get('title', panel.get('panelIndex'))}"
        if panel.get("type") not in _PANEL_TYPES:
            yield f"{where}: unknown type {panel.get('type')!r}"
        if "version" not in panel:
            yield f"{where}: its version is absent"
        if panel.get("type") == "search":
            wanted = f"{panel.get('panelIndex')}:{panel.get('panelRefName')}"
            if wanted not in names:
                yield f"{where}: the reference {wanted} is missing"
    yield from _grid(panels)
    yield from _control_references(item, names)


def _control_references(item: Mapping[str, Any], names: set[str]) -> Iterator[str]:
    group = item["attributes"].get("controlGroupInput")
    if group is None:
        return
    try:
        controls = json.loads(group["panelsJSON"])
    except (KeyError, ValueError):
        return
    for control_id in controls:
        if f"controlGroup_{control_id}:optionsListDataView" not in names:
            yield f"control {control_id}: the reference to its data view is missing"


def _grid(panels: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        title = str(panel.get("title", panel.get("panelIndex")))
        area = panel.get("gridData", {})
        x, y, width, height = (area.get(key, -1) for key in "xywh")
        if min(x, y) < 0 or min(width, height) < 1 or x + width > _GRID_COLUMNS:
            yield f"panel {title}: it is not inside the {_GRID_COLUMNS} columns"
            continue
        if area.get("i") != panel.get("panelIndex"):
            yield f"panel {title}: its place is that of another panel"
        cells = [(column, row) for column in range(x, x + width) for row in range(y, y + height)]
        for other in sorted({taken[cell] for cell in cells if cell in taken}):
            yield f"panel {title}: it overlaps {other}"
        taken |= dict.fromkeys(cells, title)
