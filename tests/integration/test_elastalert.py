"""The real ElastAlert2 on a real Elasticsearch: documents in, exactly the right alerts out.

Every test has a service name of its own, by which its alerts are told from those of other tests.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.rules.documents import to_document
from tests.support.alerting import Alerting, AlertSink
from tests.support.elastic import LOG_STREAM, Pipeline, eventually, log_line

pytestmark = pytest.mark.timeout(180)

OOM = {
    "log.level": "error",
    semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
    semconv.NODE_CLASS_TYPE: "DDColor_Colorize",
    semconv.NODE_ID: "2",
    semconv.ERROR_KIND: "out_of_memory",
    semconv.ERROR_LEVEL: 2,
}
FAILED = {
    "log.level": "error",
    semconv.EVENT_NAME: semconv.EVENT_PROMPT_FINISHED,
    semconv.PROMPT_OUTCOME: "failed",
    semconv.ERROR_KIND: "execution_error",
    semconv.ERROR_LEVEL: 2,
}
SUCCEEDED = {
    semconv.EVENT_NAME: semconv.EVENT_PROMPT_FINISHED,
    semconv.PROMPT_OUTCOME: "success",
}


@pytest.fixture
def service() -> str:
    """Name a service that no other test uses."""
    return f"service-{secrets.token_hex(4)}"


def put(pipeline: Pipeline, service: str, message: str, **attributes: Any) -> None:
    """Index one log record as the gateway does; it is visible soon after."""
    line = log_line(message, **{**attributes, semconv.SERVICE_NAME: service})
    document = to_document(line, datetime.now(UTC))
    # Patient: the first document of all makes Elasticsearch create the data stream.
    client = pipeline.client.options(request_timeout=60)
    client.create(index=LOG_STREAM, id=line["log.record.uid"], document=document)


def put_and_see(
    pipeline: Pipeline, alerting: Alerting, service: str, message: str, **attributes: Any
) -> None:
    """Index one record and wait until all rules have seen it."""
    put(pipeline, service, message, **attributes)
    pipeline.client.indices.refresh(index=LOG_STREAM)
    alerting.wait_rounds()


def test_one_fault_is_one_alert_with_what_the_record_says(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str
) -> None:
    """A failed node and its failed prompt are one alert that names node, trace and time."""
    trace_id = secrets.token_hex(16)
    happened = datetime.now(UTC) - timedelta(seconds=3)
    put(
        pipeline,
        service,
        "Out of memory: node DDColor_Colorize (2): 2 GiB at /srv/photos/anna/x.png",
        trace_id=trace_id,
        **OOM,
        **{"@timestamp": happened.isoformat(), semconv.PROMPT_ID: "prompt-1"},
    )
    put_and_see(pipeline, alerting, service, "Prompt failed in node DDColor_Colorize (2)", **FAILED)

    (alert,) = eventually(lambda: sink.alerts(service=service))
    assert alert["rule"] == "keyword_out_of_memory"
    assert (alert["kind"], alert["level"], alert["count"]) == ("out_of_memory", 2, 1)
    assert (alert["node"], alert["node_id"]) == ("DDColor_Colorize", "2")
    assert (alert["trace_id"], alert["prompt_id"]) == (trace_id, "prompt-1")
    assert datetime.fromisoformat(alert["occurred_at"]) == happened
    assert "anna" not in alert["summary"]
    assert alert["summary"].startswith("Out of memory: node DDColor_Colorize (2): 2 GiB")


def test_a_document_that_comes_late_still_alerts(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str
) -> None:
    """A record of two hours ago that is delivered now raises its alert."""
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    put_and_see(pipeline, alerting, service, "Out of memory: late", **OOM, **{"@timestamp": old})

    (alert,) = eventually(lambda: sink.alerts(service=service))
    assert datetime.fromisoformat(alert["occurred_at"]) == datetime.fromisoformat(old)


def test_a_record_through_the_collectors_alerts(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str
) -> None:
    """A line in a log file becomes an alert by way of agent, gateway and Elasticsearch."""
    trace_id = secrets.token_hex(16)
    line = log_line(
        "Model not loaded: node DDColor_Colorize (2): no such checkpoint",
        **{
            **OOM,
            semconv.ERROR_KIND: "model_not_loaded",
            semconv.ERROR_LEVEL: 3,
            semconv.SERVICE_NAME: service,
            "trace_id": trace_id,
        },
    )
    pipeline.write_lines([line], name="alerting")

    (alert,) = eventually(lambda: sink.alerts(service=service))
    assert (alert["kind"], alert["level"], alert["trace_id"]) == ("model_not_loaded", 3, trace_id)
    assert datetime.fromisoformat(alert["occurred_at"]) == datetime.fromisoformat(
        line["@timestamp"]
    )


def test_a_slow_inference_is_one_alert(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str
) -> None:
    """The record while it runs and the one at its end have the same alert id."""
    node = {semconv.PROMPT_ID: "prompt-2", semconv.NODE_ID: "2", semconv.NODE_DURATION: 31.5}
    put(
        pipeline,
        service,
        "Inference timeout: node DDColor_Colorize (2) still running after 30 s",
        **node,
        **{semconv.EVENT_NAME: semconv.EVENT_NODE_SLOW, semconv.ERROR_KIND: "inference_timeout"},
    )
    ended = {semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED, semconv.NODE_OUTCOME: "executed"}
    put_and_see(pipeline, alerting, service, "Node executed", **node, **ended)

    (alert,) = eventually(lambda: sink.alerts(service=service))
    assert (alert["kind"], alert["level"]) == ("inference_timeout", 1)
    assert alert["values"] == {"duration_s": 31.5}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_row_of_failures_goes_on_over_a_restart(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str, end: str
) -> None:
    """F F S F, a restart, F, a restart, F fires once, at the last."""
    for outcome in (FAILED, FAILED, SUCCEEDED, FAILED):
        put(pipeline, service, "Prompt finished", **outcome)
    pipeline.client.indices.refresh(index=LOG_STREAM)
    alerting.wait_rounds()
    for _ in range(2):
        getattr(alerting, end)()
        alerting.start()
        assert sink.alerts(service=service) == []
        put_and_see(pipeline, alerting, service, "Prompt failed in node SaveImage (3)", **FAILED)

    (alert,) = eventually(lambda: sink.alerts(service=service))
    assert (alert["rule"], alert["level"]) == ("consecutive_failures", 3)
    assert (alert["kind"], alert["count"]) == ("execution_error", 3)
    assert alert["summary"] == (
        "3 prompts failed in a row, the last: Prompt failed in node SaveImage (3)"
    )


def test_five_of_a_kind_are_one_alert_also_after_a_restart(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str
) -> None:
    """Five failures fire once with their count; a restart and a sixth add none."""
    for _ in range(5):
        put(pipeline, service, "Out of memory: again", **OOM)
    pipeline.client.indices.refresh(index=LOG_STREAM)
    alerting.wait_rounds()
    alerting.kill()
    alerting.start()
    put_and_see(pipeline, alerting, service, "Out of memory: a sixth time", **OOM)

    (alert,) = sink.alerts(service=service, rule="frequency_failures")
    assert (alert["kind"], alert["level"], alert["count"]) == ("out_of_memory", 2, 5)
    assert len(sink.alerts(service=service, rule="keyword_out_of_memory")) == 6


@pytest.mark.parametrize("how", ["nothing listens", "it answers 500"])
def test_no_alert_is_lost_while_the_notifier_is_away(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str, how: str
) -> None:
    """What was raised in an outage of the notifier arrives after it."""
    if how == "nothing listens":
        sink.stop()
    else:
        sink.status = 500
    try:
        for number in range(3):
            put(pipeline, service, f"Out of memory: number {number}", **OOM)
        eventually(
            lambda: (
                pipeline.client.options(ignore_status=404)
                .search(
                    index="elastalert-ddcolor",
                    query={"bool": {"filter": [{"term": {"alert_sent": False}}]}},
                )
                .get("hits", {})
                .get("hits")
            )
        )
        assert sink.alerts(service=service) == []
    finally:
        sink.status = 202
        if how == "nothing listens":
            sink.start()

    eventually(lambda: len(sink.alerts(service=service)) == 3)


def test_no_alert_is_lost_when_it_is_killed_before_it_has_sent(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, service: str
) -> None:
    """Killed while the notifier is away, ElastAlert2 sends everything after its restart."""
    sink.stop()
    try:
        for number in range(20):
            put(pipeline, service, f"Out of memory: number {number}", **OOM)
        pipeline.client.indices.refresh(index=LOG_STREAM)
        alerting.kill()
    finally:
        sink.start()
    alerting.start()

    eventually(lambda: len(sink.alerts(service=service, rule="keyword_out_of_memory")) == 20)


def test_the_agents_group_may_read_its_log_and_nobody_else(alerting: Alerting) -> None:
    """The log file has mode 0640, and says that all rules ran."""
    assert oct(os.stat(alerting.log_file).st_mode & 0o777) == "0o640"  # noqa: PTH116
    assert alerting.log_lines(**{semconv.EVENT_NAME: semconv.EVENT_ALERTING_HEARTBEAT})
