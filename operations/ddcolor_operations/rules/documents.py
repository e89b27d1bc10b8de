"""A log line, and the document that the collectors make of it in Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from comfyui_telemetry import semconv

Document = dict[str, Any]

# Names that the index template gives to other places of the document.
ALIASES = {
    "message": "body.text",
    "log.level": "severity_text",
    "trace.id": "trace_id",
    "span.id": "span_id",
}
# Objects whose names are searched without a prefix, the first found wins (passthrough fields).
_PASSTHROUGH = ("attributes", "resource.attributes", "scope.attributes")
_SEVERITY_NUMBERS = {"trace": 1, "debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_RESOURCE = (semconv.SERVICE_NAME, semconv.SERVICE_VERSION, semconv.SERVICE_INSTANCE_ID)
_OWN_PLACE = ("@timestamp", "log.level", "message", "trace_id", "span_id")


def to_document(line: Mapping[str, Any], ingested: datetime) -> Document:
    """Return the document of a log line, as it stands in ``logs-ddcolor.otel-*``.

    ``line`` has the flat names of the JSON logs; ``ingested`` is what the ingest pipeline stamps.
    """
    level = str(line.get("log.level", "info"))
    document: Document = {
        "@timestamp": _epoch_ms(datetime.fromisoformat(line["@timestamp"])),
        "severity_text": level,
        "severity_number": _SEVERITY_NUMBERS[level],
        "body": {"text": line["message"]},
        "attributes": {
            name: value
            for name, value in line.items()
            if name not in _OWN_PLACE and name not in _RESOURCE
        },
        "resource": {"attributes": {name: line[name] for name in _RESOURCE if name in line}},
        "event": {"ingested": ingested.astimezone(UTC).isoformat().replace("+00:00", "Z")},
    }
    document |= {name: line[name] for name in ("trace_id", "span_id") if name in line}
    return document


def field_values(document: Mapping[str, Any], field: str) -> list[Any]:
    """Return every value that a search on ``field`` would see in ``document``."""
    field = ALIASES.get(field, field)
    for prefix in ("", *(f"{name}." for name in _PASSTHROUGH)):
        found = list(_at(document, prefix + field))
        if found:
            return found
    return []


def _at(value: Any, path: str) -> Iterator[Any]:
    """Yield what lies at a dotted path, whose dots may be nesting or part of a name."""
    if not isinstance(value, Mapping):
        return
    for name, item in value.items():
        if name == path:
            items = item if isinstance(item, list) else [item]
            yield from (one for one in items if one is not None and not isinstance(one, Mapping))
        elif path.startswith(f"{name}."):
            yield from _at(item, path[len(name) + 1 :])


def _epoch_ms(moment: datetime) -> str:
    """Return a time as it is stored: milliseconds, with nanoseconds as six decimals."""
    micros = round(moment.timestamp() * 1_000_000)
    return f"{micros // 1000}.{micros % 1000 * 1000:06d}"
