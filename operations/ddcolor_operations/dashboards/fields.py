"""Which fields a data view has: as declared in this project, or as an Elasticsearch tells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from comfyui_telemetry import semconv
from ddcolor_operations.elastic import attributes

from .model import DataView, SourceError

_KIBANA_TYPES = {
    "boolean": "boolean",
    "byte": "number",
    "date": "date",
    "date_nanos": "date",
    "double": "number",
    "float": "number",
    "integer": "number",
    "keyword": "string",
    "long": "number",
    "text": "string",
}
_DECLARED_TYPES = {"string": "keyword", "int": "long", "double": "double", "boolean": "boolean"}
_CONTAINERS = ("attributes", "resource.attributes")


@dataclass(frozen=True, slots=True)
class Field:
    """A field's Elasticsearch type (``conflict`` if indices differ), and whether it aggregates."""

    type: str
    aggregatable: bool

    @property
    def kibana_type(self) -> str:
        """The type by which Kibana chooses operations: string, number, date, boolean or other."""
        return _KIBANA_TYPES.get(self.type, self.type)


Fields = Mapping[str, Field]


def declared(view: DataView, templates: Path) -> dict[str, Field]:
    """Return the fields that documents of ``view`` can have by our templates and conventions.

    ``templates`` is ``collector/elasticsearch``. What a document really has, only a filled
    Elasticsearch knows: :func:`mapped`.
    """
    fields: dict[str, Field] = {}
    aliases: dict[str, str] = {}
    for properties in _mappings(view, templates):
        for name, body in _walk(properties):
            if body["type"] == "alias":
                aliases[name] = body["path"]
            elif body["type"] != "object":
                fields[name] = Field(body["type"], body["type"] not in ("text", "flattened"))
    for attribute in semconv.ATTRIBUTES.values():
        for container in _CONTAINERS:
            found = Field(_DECLARED_TYPES.get(attribute.type, "keyword"), True)
            fields.setdefault(f"{container}.{attribute.name}", found)
    if view.pattern.startswith("metrics-"):
        for metric in semconv.METRICS.values():
            # A histogram is an object, of which Kibana can show nothing.
            if metric.instrument != "histogram":
                fields[f"metrics.{metric.name}"] = Field("double", True)
    fields |= {name: Field(type_, True) for name, type_ in view.foreign.items()}
    fields |= {name: fields[path] for name, path in aliases.items() if path in fields}
    # Passthrough: the containers' fields also have their names without it.
    for container in ("resource.attributes", "attributes", "metrics"):
        prefix = f"{container}."
        fields |= {
            name.removeprefix(prefix): value
            for name, value in fields.items()
            if name.startswith(prefix)
        }
    return fields | {name: Field(item.type, True) for name, item in view.runtime.items()}


def mapped(client: Elasticsearch, view: DataView) -> dict[str, Field]:
    """Return the fields that the indices of ``view`` have now, as Kibana asks for them."""
    answer = client.field_caps(
        index=view.pattern,
        fields="*",
        runtime_mappings=runtime_mappings(view),
        ignore_unavailable=True,
        allow_no_indices=True,
    )
    fields: dict[str, Field] = {}
    for name, types in answer["fields"].items():
        if len(types) == 1:
            ((type_, capabilities),) = types.items()
            fields[name] = Field(type_, bool(capabilities["aggregatable"]))
        else:
            fields[name] = Field("conflict", False)
    return fields


def runtime_mappings(view: DataView) -> dict[str, Any]:
    """Return the runtime fields of ``view`` in the form of a search request."""
    return {
        name: {"type": item.type, "script": {"source": item.script}}
        for name, item in view.runtime.items()
    }


def _mappings(view: DataView, templates: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((templates / "index_templates").glob("*.json")):
        template = json.loads(path.read_bytes())
        if view.pattern in template["index_patterns"]:
            break
    else:
        raise SourceError(f"data view {view.id}: no index template has the pattern {view.pattern}")
    absent = template.get("ignore_missing_component_templates", ())
    for name in (name for name in template["composed_of"] if name not in absent):
        component = (
            attributes.component_template()
            if name == attributes.NAME
            else json.loads((templates / "component_templates" / f"{name}.json").read_bytes())
        )
        yield component["template"].get("mappings", {}).get("properties", {})


def _walk(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, body in properties.items():
        if "properties" in body:
            yield from _walk(body["properties"], f"{prefix}{name}.")
        elif body.get("type", "object") != "passthrough":
            yield f"{prefix}{name}", {"type": "object", **body}
