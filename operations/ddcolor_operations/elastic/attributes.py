"""The component template that maps every attribute of the semantic conventions.

A field that is mapped before its first document has the right type for ever, whatever that document
brings, and a dashboard that asks for it finds it, empty or not. It is made from the conventions
when it is installed: a file would be a second place to keep.
"""

from __future__ import annotations

from typing import Any

from comfyui_telemetry import semconv

#: What index templates call it in composed_of.
NAME = "ddcolor-attributes"

_LONG_TEXTS = {semconv.ERROR_MESSAGE, semconv.ERROR_STACK_TRACE}
# Of the process, not of the record: they lie in resource.attributes.
_RESOURCE = {semconv.SERVICE_NAME, semconv.SERVICE_VERSION, semconv.SERVICE_INSTANCE_ID}
_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_MAPPINGS: dict[str, dict[str, Any]] = {
    "string": _KEYWORD,
    "string[]": _KEYWORD,
    "int": {"type": "long"},
    "double": {"type": "double"},
    "boolean": {"type": "boolean"},
}


def component_template() -> dict[str, Any]:
    """Return the template; the same conventions give the same one."""
    fields = {
        name: {"type": "text"} if name in _LONG_TEXTS else _MAPPINGS[attribute.type]
        for name, attribute in sorted(semconv.ATTRIBUTES.items())
        if name not in _RESOURCE
    }
    return {
        "_meta": {
            "description": "Every attribute of the semantic conventions.",
            "managed_by": "ddcolor-observability",
        },
        "template": {
            "mappings": {
                "properties": {
                    "attributes": {
                        "type": "passthrough",
                        "dynamic": True,
                        "priority": 20,
                        "properties": fields,
                    }
                }
            }
        },
    }
