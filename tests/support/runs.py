"""A made-up run of the demo for tests of what is shown; no number in it was measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image

from comfyui_telemetry import semconv
from comfyui_telemetry.catalogue import CATALOGUE, Text
from ddcolor_operations.elastic.queries import Span
from ddcolor_operations.report.charts import Bucket, Durations
from ddcolor_operations.report.facts import Delivery, Expected, Fault, Message, Photo, Run
from ddcolor_operations.report.render import Evidence, Trace
from ddcolor_operations.report.spans import waterfall

START = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CHANNELS = {
    1: ("record",),
    2: ("wecom", "dingtalk"),
    3: ("wecom", "dingtalk", "sms", "mail"),
}


def span(
    span_id: str,
    parent_span_id: str | None,
    name: str,
    start_s: float,
    duration_s: float,
    **attributes: str,
) -> Span:
    """Make one span; with an error kind among its attributes it failed."""
    failed = semconv.ERROR_KIND in attributes
    return Span(
        trace_id=TRACE_ID,
        span_id=span_id,
        parent_span_id=parent_span_id,
        name=name,
        kind="Internal",
        start=START + timedelta(seconds=start_s),
        duration_s=duration_s,
        status="Error" if failed else "Unset",
        status_message="",
        ingested=None,
        attributes=attributes,
        resource={semconv.SERVICE_NAME: "ddcolor-service"},
    )


def failed_trace() -> list[Span]:
    """Make the trace of a prompt whose second node failed, in no particular order."""
    failed = {semconv.ERROR_KIND: "out_of_memory"}
    return [
        span(
            "d4",
            "b2",
            "node DDColor_Colorize",
            0.2,
            2.3,
            **{semconv.NODE_OUTCOME: "failed"},
            **failed,
        ),
        span("a1", "ffff", "POST /prompt", 0.0, 0.012),
        span("b2", "a1", "prompt", 0.015, 2.5, **{semconv.PROMPT_OUTCOME: "failed"}, **failed),
        span("c3", "b2", "node LoadImage", 0.02, 0.17, **{semconv.NODE_OUTCOME: "executed"}),
    ]


def fault(name: str, *expected: tuple[str, int], arrived: bool = True, held_back: int = 0) -> Fault:
    """Make a fault whose alerts all arrived, or did not."""
    wanted = tuple(Expected(kind, level, CHANNELS[level]) for kind, level in expected)
    deliveries = [
        Delivery(
            alert_id=f"{name}-{item.kind}-{item.level}",
            rule=f"keyword_{item.kind}",
            kind=item.kind,
            level=item.level,
            channel=channel,
            delivered_at=START + timedelta(seconds=30 + index),
            seconds=2.4 + 0.3 * index,
            indexed_s=0.6,
            accepted_s=2.2,
        )
        for item in wanted
        for index, channel in enumerate(item.channels)
    ]
    missing = Text(f"{name}:未送达", f"{name}: nothing arrived")
    return Fault(
        name=name,
        title=CATALOGUE[expected[0][0]].title,
        how=Text("由开关触发", "caused by the switch"),
        caused_at=START + timedelta(seconds=20),
        expected=wanted,
        alerts=tuple(deliveries) if arrived else (),
        held_back=held_back,
        trace_id=TRACE_ID,
        recovered_s=4.1,
        problems=() if arrived else (missing,),
    )


def run(folder: Path, *, faults: tuple[Fault, ...] | None = None) -> Run:
    """Make a run; its two photos are drawn into ``folder``."""
    photos = []
    for scenario, size in (("person", (300, 400)), ("building", (640, 420))):
        before, after = folder / f"{scenario}.png", folder / f"{scenario}-restored.png"
        Image.linear_gradient("L").resize(size).save(before)
        Image.radial_gradient("L").resize(size).convert("RGB").save(after)
        photos.append(Photo(scenario, before, after, 3.214, f"prompt-{scenario}", TRACE_ID))
    default = (
        fault("undecodable_upload", ("decode_failed", 2)),
        fault("missing_checkpoint", ("model_not_loaded", 3)),
        fault("out_of_memory", ("out_of_memory", 2)),
        fault("slow_inference", ("inference_timeout", 1)),
        fault("three_failures", ("execution_error", 2), ("execution_error", 3), held_back=2),
        fault("killed_process", ("service_down", 3)),
    )
    return Run(
        started_at=START,
        ended_at=START + timedelta(seconds=171),
        stack_ready_s=48.2,
        photos=tuple(photos),
        faults=default if faults is None else faults,
        messages=(
            Message("wecom", "【二级】显存或内存不足\n时间:2026-01-31 16:30:20 +08:00"),
            Message("dingtalk", "### 【二级】显存或内存不足\n- 服务:ddcolor-service <b>&"),
        ),
        documents={
            "logs-ddcolor.otel-default": 214,
            "traces-ddcolor.otel-default": 71,
            "metrics-ddcolor.otel-default": 1203,
        },
        versions={"elasticsearch": "9.4.3", "service": "0.1.0"},
    )


def evidence() -> Evidence:
    """Make what Elasticsearch would have answered for that run."""
    return Evidence(
        traces=[Trace(Text("失败的任务", "A failed prompt"), TRACE_ID, waterfall(failed_trace()))],
        durations=[
            Durations("LoadImage", 14, 0.012, 0.02, 0.05, 0.061),
            Durations("DDColor_Colorize", 12, 0.003, 1.9, 28.0, 35.0),
            Durations("SaveImage", 8, 0.04, 0.052, 0.09, 0.11),
        ],
        outcomes=[
            Bucket(START + timedelta(seconds=10 * i), {"success": i % 2, "failed": i % 3})
            for i in range(18)
        ],
    )
