"""Only declared names leave the service."""

from __future__ import annotations

from typing import Any

from comfyui_telemetry import semconv
from tests.support.service import ADMIN, Harness, encoded, workflow

_LINE = {"@timestamp", "log.level", "message", "trace_id", "span_id", "otel.scope.name"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "double": (float, int),
    "boolean": (bool,),
    "string[]": (list, tuple),
}


def undeclared(attributes: dict[str, Any]) -> list[str]:
    """Return the attributes that semconv does not declare with this type."""
    return [
        name
        for name, value in attributes.items()
        if name not in semconv.ATTRIBUTES
        or not isinstance(value, _TYPES[semconv.ATTRIBUTES[name].type])
    ]


async def test_every_name_is_declared(service: Harness) -> None:
    """Log lines and spans of good, cached, failing and refused work hold declared names only."""
    await service.upload(encoded(), "photo.png")
    await service.upload(b"broken")
    scenario = {"extra_data": {"scenario": "person", "workflow_name": "w"}}
    await service.run(workflow(), **scenario)
    await service.run(workflow(), **scenario)
    for fault in ("execution_error", "missing_checkpoint", "out_of_memory", "output_damaged"):
        await service.arm(fault)
        await service.run(workflow(size=700), **scenario)
    await service.post("/prompt", {"prompt": workflow("nosuch.png")})
    await service.client.get("/admin/faults", headers=ADMIN)
    await service.record("comfyui.prompt.rejected")
    for record in service.records():
        assert undeclared({k: v for k, v in record.items() if k not in _LINE}) == [], record
        assert record.get("event.name") in {*semconv.EVENTS, None}
    for span in service.spans.get_finished_spans():
        assert undeclared(dict(span.attributes or {})) == [], span.name
