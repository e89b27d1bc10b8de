"""A log line, and the document that the collectors make of it in Elasticsearch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from comfyui_telemetry import semconv

Document = dict[str, Any]

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


def _epoch_ms(moment: datetime) -> str:
    """Return a time as it is stored: milliseconds, with nanoseconds as six decimals."""
    micros = round(moment.timestamp() * 1_000_000)
    return f"{micros // 1000}.{micros % 1000 * 1000:06d}"
