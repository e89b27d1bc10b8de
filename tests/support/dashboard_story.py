"""A short day of the service, told by the real libraries into a real pipeline, for the panels."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from opentelemetry.trace import SpanKind

from comfyui_telemetry import Telemetry, configure, semconv
from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier import episodes
from ddcolor_operations.notifier.acknowledgements import Acknowledged
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.occasions import Episode
from tests.support.alerts import NOON, make_alert, make_item
from tests.support.elastic import Pipeline, eventually, log_line, otlp_gauges

_LIMIT_S = 0.2
_CHECKPOINTS = {
    "ddcolor_modelscope.pth": "9f86d081884c7d65",
    "ddcolor_artistic.pth": "2c26b46b68ffc68f",
}
_GPU = {
    semconv.METRIC_GPU_MEMORY_UTILIZATION: 0.62,
    semconv.METRIC_GPU_UTILIZATION: 0.97,
}
# Names and types of the docker_stats receiver.
_CONTAINER: dict[str, int | float] = {
    "container.memory.usage.total": 734_003_200,
    "container.memory.usage.limit": 2_147_483_648,
    "container.cpu.utilization": 12.5,
}
_TROUBLE = {
    f"otelcol_{what}_{items}": 3
    for what in ("exporter_enqueue_failed", "exporter_send_failed", "receiver_refused")
    for items in ("log_records", "metric_points", "spans")
}


class FaultError(Exception):
    """A fault of a kind of the catalogue."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.comfyui_error_kind = kind


@dataclass(frozen=True, slots=True)
class Told:
    """What can be looked for: the trace and prompt of a failed photo, and the id of its alert."""

    trace_id: str
    prompt_id: str
    alert_id: str


def tell(pipeline: Pipeline) -> Told:
    """Let service, notifier, supervisor and alerting say what a demo run makes them say."""
    with _telemetry(pipeline, "ddcolor-service") as telemetry:
        trace_id, prompt_id = _serve(telemetry)
        lines = telemetry.settings.log_file
        assert lines is not None
        eventually(lambda: lines.exists() and semconv.EVENT_SERVICE_HEARTBEAT in lines.read_text())
    with _telemetry(pipeline, "ddcolor-notifier") as telemetry:
        alert_id = _notify(AlertLog(telemetry.logger("ddcolor_operations.notifier")), trace_id)
    with _telemetry(pipeline, "ddcolor-stack") as telemetry:
        kind = CATALOGUE["service_down"]
        telemetry.logger("ddcolor_operations.stack").error(
            f"{kind.keyword}: part service ended (signal 9), restart 1 in 1 s",
            event_name=semconv.EVENT_PART_EXITED,
            **{
                semconv.PART_NAME: "service",
                semconv.PART_EXIT: "signal 9",
                semconv.PART_RESTARTS: 1,
                semconv.ERROR_KIND: kind.name,
                semconv.ERROR_LEVEL: int(kind.level),
            },
        )
    # ElastAlert2's environment has no telemetry library and writes its lines by itself.
    beat = {semconv.ALERTING_RULES: 12, semconv.ALERTING_CYCLE: 0.4}
    raised = {semconv.ALERT_ID: "0" * 32, semconv.ALERT_RULE: "keyword_out_of_memory"}
    # A service knows its slope after a minute only.
    slope = {semconv.PROCESS_MEMORY_SLOPE: 2048.0}
    lost = {semconv.TELEMETRY_REASON: "span_queue_full", semconv.TELEMETRY_DROPPED: 12}
    refused = {
        "error.type": "document_parsing_exception",
        semconv.DOCUMENT_TARGET: "logs-ddcolor.otel-default",
    }
    pipeline.write_lines(
        log_line(text, **{"service.name": service, semconv.EVENT_NAME: event, **more})
        for text, service, event, more in (
            ("All 12 rules ran", "ddcolor-elastalert", semconv.EVENT_ALERTING_HEARTBEAT, beat),
            ("Alert raised", "ddcolor-elastalert", semconv.EVENT_ALERT_RAISED, raised),
            ("Heartbeat", "ddcolor-service", semconv.EVENT_SERVICE_HEARTBEAT, slope),
            ("Telemetry is lost", "ddcolor-service", semconv.EVENT_TELEMETRY_DEGRADED, lost),
            ("Document refused", "ddcolor-gateway", semconv.EVENT_DOCUMENT_REFUSED, refused),
        )
    )
    _measure(pipeline)
    return Told(trace_id, prompt_id, alert_id)


@contextlib.contextmanager
def _telemetry(pipeline: Pipeline, service: str) -> Iterator[Telemetry]:
    with mock.patch.dict(os.environ, {"OTEL_EXPORTER_OTLP_ENDPOINT": pipeline.otlp_url}):
        telemetry = configure(
            service,
            "0.1.0",
            log_file=pipeline.log_dir / f"{service}-story.jsonl",
            log_stdout=False,
            time_limit_s=_LIMIT_S,
            heartbeat_s=_LIMIT_S,
            service_heartbeat_s=1.0,
        )
    try:
        yield telemetry
    finally:
        telemetry.shutdown()


def _measure(pipeline: Pipeline) -> None:
    """Send what figures of a GPU, a container and a collector in trouble look like."""
    gpu = {semconv.HW_ID: "GPU-5fd4f7ac", semconv.HW_NAME: "NVIDIA H100 80GB HBM3"}
    container = {"container.name": "ddcolor-service-1", "service.name": "service"}
    for resource, values, labels in (
        ({"service.name": "ddcolor-service"}, _GPU, gpu),
        (container, _CONTAINER, {}),
        ({"service.name": "ddcolor-gateway"}, _TROUBLE, {}),
    ):
        pipeline.post("metrics", otlp_gauges(resource, values, labels))


def _serve(telemetry: Telemetry) -> tuple[str, str]:
    """Restore some photos and fail at others; return trace and prompt of one that failed."""
    first, second = _CHECKPOINTS
    for number, (scenario, checkpoint) in enumerate(
        (("person", first), ("building", first), ("person", second))
    ):
        _prompt(telemetry, scenario, checkpoint, loads=number != 1, cached=number == 1)
    _prompt(telemetry, "person", first, slow=True)
    oom = FaultError("out_of_memory", "no room for 2 GiB")
    failed = _prompt(telemetry, "building", first, fault=oom)
    _prompt(telemetry, "person", "missing.pth", fault=FaultError("model_not_loaded", "it is gone"))
    _prompt(telemetry, "person", second, fault=FaultError("output_damaged", "it is black"))
    _prompt(telemetry, "person", first, interrupted=True)
    telemetry.recorder.upload_rejected(kind="decode_failed", reason="it is no picture")
    return failed


def _prompt(
    telemetry: Telemetry,
    scenario: str,
    checkpoint: str,
    *,
    loads: bool = False,
    cached: bool = False,
    slow: bool = False,
    interrupted: bool = False,
    fault: FaultError | None = None,
) -> tuple[str, str]:
    """Record one prompt as the service does: request, queue, nodes with their facts.

    Returns the ids of its trace and its prompt.
    """
    prompt_id, recorder = uuid.uuid4().hex, telemetry.recorder
    facts = _facts(checkpoint, loads=loads, known=checkpoint in _CHECKPOINTS)
    with telemetry.tracer.start_as_current_span("POST /prompt", kind=SpanKind.SERVER) as span:
        span.set_attribute(semconv.HTTP_ROUTE, "/prompt")
        recorder.prompt_queued(prompt_id, number_waiting=1)
    with (
        contextlib.suppress(FaultError),
        recorder.prompt(prompt_id, node_count=3, scenario=scenario, workflow=scenario) as prompt,
    ):
        told = (prompt.trace_id, prompt_id)
        picture = {semconv.IMAGE_WIDTH: 640, semconv.IMAGE_HEIGHT: 480}
        if cached:
            prompt.node_cached("1", "LoadImage")
        else:
            with prompt.node("1", "LoadImage") as node:
                node.set(**picture, **{semconv.IMAGE_SHA256: "2c26b46b68ffc68f"})
        with prompt.node("2", "DDColor_Colorize") as node:
            node.set(**facts, **picture, **{semconv.MODEL_INPUT_SIZE: 512})
            if loads:
                telemetry.logger("ddcolor_service.models").info(
                    "Loaded the checkpoint in 0.40 s",
                    event_name=semconv.EVENT_MODEL_LOADED,
                    **facts,
                )
            if slow:
                threading.Event().wait(2 * _LIMIT_S)
            if fault is not None:
                raise fault
            if interrupted:
                node.interrupted()
                return told
            node.set(
                **{semconv.INFERENCE_DURATION: 0.021, semconv.DEVICE_MEMORY_PEAK: 1_200_000_000}
            )
        with prompt.node("3", "SaveImage"):
            pass
    return told


def _facts(checkpoint: str, *, loads: bool, known: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {semconv.MODEL_NAME: checkpoint}
    if known:
        facts |= {
            semconv.MODEL_SHA256: _CHECKPOINTS[checkpoint],
            semconv.MODEL_VARIANT: "large",
            semconv.DEVICE: "cpu",
        }
    if loads:
        facts[semconv.MODEL_LOAD_DURATION] = 0.4
    return facts


def _notify(log: AlertLog, trace_id: str) -> str:
    """Accept, deliver and end alerts; return the id of the one that speaks of ``trace_id``."""
    alert = make_alert(1, trace_id=trace_id)
    critical: dict[str, Any] = {"kind": "model_not_loaded", "level": 3, "trace_id": None}
    log.taken(alert, "accepted")
    log.taken(make_alert(2, trace_id=None), "held_back")
    log.taken(make_alert(3, rule="keyword_model_not_loaded", **critical), "accepted")
    now = NOON.timestamp()
    for channel in ("wecom", "dingtalk"):
        log.delivered(channel, [make_item(1, trace_id=trace_id)], None, now + 1.8)
    log.failed("sms", [make_item(3, **critical)], "retry", "busy")
    log.delivered("sms", [make_item(3, held_before=2, **critical)], None, now + 3.1)
    log.failed("mail", [make_item(3, **critical)], "dead", "gone")
    log.acknowledged(Acknowledged(make_alert(3, **critical), "zhang", "", now, 95.0, False))
    log.alive(1)
    log.told(episodes.Told(ended=[(alert, Episode(now, now + 60, 2))]))
    return alert.alert_id
