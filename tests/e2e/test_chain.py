"""The demo's path on a real stack: what happened to a photo, and who was told of each fault."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from PIL import Image

from comfyui_telemetry import semconv
from ddcolor_operations.demo.gather import Gathered
from ddcolor_operations.elastic.queries import LogRecord, Span, logs_of_trace, trace
from ddcolor_operations.report.render import write
from ddcolor_operations.stack import RunningStack
from tests.support.elastic import eventually
from tests.support.stacks import log_lines, received

NODES = {"node LoadImage", "node DDColor_Colorize", "node SaveImage"}


def test_every_expected_alert_arrives_and_nothing_else(gathered: Gathered) -> None:
    """Each of the six faults speaks on exactly the channels of its level."""
    assert [problem.en for problem in gathered.run.all_problems] == []
    assert {
        # Of two rules that one record sets off, either may be told first.
        fault.name: Counter((alert.kind, alert.level, alert.channel) for alert in fault.alerts)
        for fault in gathered.run.faults
    } == {
        "undecodable_upload": _on("decode_failed", 2, "wecom", "dingtalk"),
        "missing_checkpoint": _on("model_not_loaded", 3, "wecom", "dingtalk", "sms", "mail"),
        "out_of_memory": _on("out_of_memory", 2, "wecom", "dingtalk"),
        "slow_inference": _on("inference_timeout", 1, "record"),
        "three_failures": _on("execution_error", 2, "wecom", "dingtalk")
        + _on("execution_error", 3, "wecom", "dingtalk", "sms", "mail")
        + _on("error_rate_high", 2, "wecom", "dingtalk"),
        "killed_process": _on("service_down", 3, "wecom", "dingtalk", "sms", "mail"),
    }


def test_repeated_failures_are_held_back_and_counted(gathered: Gathered) -> None:
    """Of three failures in a row, the second and third join the first one's message."""
    held = {fault.name: fault.held_back for fault in gathered.run.faults if fault.held_back}

    assert held == {"three_failures": 2}


def test_a_slow_inference_is_said_while_it_still_runs(gathered: Gathered) -> None:
    """The record of a slow node is there before the node has ended."""
    slow = next(trace for trace in gathered.evidence.traces if "slow" in trace.title.en)
    (node,) = (row.span for row in slow.rows if row.span.name == "node DDColor_Colorize")
    fault = next(fault for fault in gathered.run.faults if fault.name == "slow_inference")

    assert node.duration_s > 30
    assert fault.alerts[0].delivered_at.timestamp() < node.start.timestamp() + node.duration_s


def test_photos_are_restored_in_colour(gathered: Gathered) -> None:
    """Each output is a picture of the input's size with colour in it."""
    for photo in gathered.run.photos:
        with Image.open(photo.input) as before, Image.open(photo.output) as after:
            assert after.size == before.size
            pixels = np.asarray(after.convert("RGB"), dtype=np.int16)
        assert np.ptp(pixels, axis=2).mean() > 2, photo.output.name


@pytest.mark.parametrize("scenario", ["person", "building"])
def test_a_prompt_is_one_trace(gathered: Gathered, elastic: Elasticsearch, scenario: str) -> None:
    """The request's span holds the prompt's, which holds exactly one span for each node."""
    photo = next(photo for photo in gathered.run.photos if photo.scenario == scenario)
    spans = eventually(
        lambda: trace(elastic, photo.trace_id), lambda found: len(found) >= 5, timeout_s=30
    )
    server, prompt = _only(spans, "POST /prompt"), _only(spans, "prompt")
    nodes = [span for span in spans if span.name.startswith("node ")]

    assert server.kind == "Server"
    assert server.parent_span_id not in {span.span_id for span in spans}
    assert prompt.kind == "Consumer"
    assert prompt.parent_span_id == server.span_id
    assert prompt.attributes[semconv.PROMPT_ID] == photo.prompt_id
    assert prompt.attributes[semconv.SCENARIO] == scenario
    assert prompt.attributes[semconv.PROMPT_OUTCOME] == "success"
    assert sorted(span.name for span in nodes) == sorted(NODES)
    assert {span.parent_span_id for span in nodes} == {prompt.span_id}
    assert {span.attributes[semconv.NODE_OUTCOME] for span in nodes} == {"executed"}
    # Only a node has spans of its own parts below it (the model's loading).
    inner = [span for span in spans if span not in (server, prompt, *nodes)]
    assert {span.parent_span_id for span in inner} <= {span.span_id for span in nodes}


def test_a_failed_prompt_shows_the_node_that_failed(
    gathered: Gathered, elastic: Elasticsearch
) -> None:
    """The failed node and its prompt end with an error; what comes after it has no span."""
    fault = next(fault for fault in gathered.run.faults if fault.name == "out_of_memory")
    spans = trace(elastic, str(fault.trace_id))
    failed = {span.name for span in spans if span.status == "Error"}

    assert failed == {"prompt", "node DDColor_Colorize"}
    node = _only(spans, "node DDColor_Colorize")
    assert node.attributes[semconv.ERROR_KIND] == "out_of_memory"
    assert node.attributes[semconv.NODE_OUTCOME] == "failed"


def test_every_log_line_of_a_prompt_carries_its_trace(
    gathered: Gathered, stack: RunningStack, elastic: Elasticsearch
) -> None:
    """All that the service wrote about a prompt is found in Elasticsearch by its trace id."""
    traces = {photo.prompt_id: photo.trace_id for photo in gathered.run.photos}
    lines = [line for line in log_lines(stack, "service") if line.get(semconv.PROMPT_ID) in traces]
    assert {line["trace_id"] == traces[line[semconv.PROMPT_ID]] for line in lines} == {True}

    for trace_id in traces.values():
        written = {
            line[semconv.LOG_RECORD_UID]
            for line in log_lines(stack, "service")
            if line.get("trace_id") == trace_id
        }
        found = _records(elastic, trace_id, len(written))
        assert {record.uid for record in found} == written
        events = {record.attributes.get(semconv.EVENT_NAME) for record in found}
        assert {semconv.EVENT_PROMPT_QUEUED, semconv.EVENT_PROMPT_FINISHED} <= events
        assert all(record.span_id for record in found)


def test_the_fault_is_said_in_one_record_that_leads_to_the_trace(
    gathered: Gathered, elastic: Elasticsearch
) -> None:
    """Exactly one record of a failed prompt carries the catalogue's words."""
    fault = next(fault for fault in gathered.run.faults if fault.name == "out_of_memory")
    records = logs_of_trace(elastic, str(fault.trace_id))

    (saying,) = (record for record in records if "Out of memory" in record.message)
    assert saying.severity == "error"
    assert saying.attributes[semconv.NODE_CLASS_TYPE] == "DDColor_Colorize"


def test_each_message_names_its_alert_and_says_what_to_do(
    gathered: Gathered, stack: RunningStack
) -> None:
    """A message has a reference, the level, a time with its zone and the suggested action."""
    references = {a.alert_id[:8] for fault in gathered.run.faults for a in fault.alerts}
    messages = received(stack)

    assert len(messages) == 7 * 2 + 3 * 2
    for message in messages:
        assert any(reference in message["text"] for reference in references)
        assert "建议" in message["text"] or message["receiver"] == "sms"


def test_the_report_is_made_from_the_run(gathered: Gathered, tmp_path: Path) -> None:
    """The page of a real run holds its photos, traces and numbers, and has no problem to tell."""
    write(tmp_path / "report.html", gathered.run, gathered.evidence)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert gathered.failed is not None
    assert gathered.failed.trace_id in html
    assert "DDColor_Colorize × " in html
    assert {"logs", "traces", "metrics"} == {s.split("-")[0] for s in gathered.run.documents}
    for count in gathered.run.documents.values():
        assert f"{count:,}" in html
    outcomes = Counter[str]()
    for bucket in gathered.evidence.outcomes:
        outcomes.update(bucket.counts)
    # Two photos, one after each of six faults, the slow one; failed: memory, model, three in a row.
    assert outcomes == {"success": 9, "failed": 5}


def _on(kind: str, level: int, *channels: str) -> Counter[tuple[str, int, str]]:
    return Counter((kind, level, channel) for channel in channels)


def _only(spans: list[Span], name: str) -> Span:
    (found,) = (span for span in spans if span.name == name)
    return found


def _records(elastic: Elasticsearch, trace_id: str, count: int) -> list[LogRecord]:
    return eventually(
        lambda: logs_of_trace(elastic, trace_id), lambda found: len(found) >= count, timeout_s=30
    )
