"""The data on a real Elasticsearch: what is refused, kept, checked and told of the collectors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from comfyui_telemetry import semconv
from ddcolor_operations.data import retention
from ddcolor_operations.data.check import check
from ddcolor_operations.data.letters import DEAD_LETTERS, collect
from ddcolor_operations.elastic.setup import install, read_resources
from ddcolor_operations.elastic.streams import Stream, read_streams
from tests.support.elastic import (
    LOG_STREAM,
    METRIC_STREAM,
    Pipeline,
    eventually,
    log_line,
    new_trace_id,
)

pytestmark = pytest.mark.timeout(300)

ALERTS = "logs-ddcolor.alerts-default"


def streams(pipeline: Pipeline) -> dict[str, Stream]:
    """Return our data streams by name."""
    resources, _ = read_resources(pipeline.client, pipeline.templates)
    return {stream.name: stream for stream in read_streams(pipeline.client, resources)}


def put(pipeline: Pipeline, stream: str, uid: str, **document: Any) -> dict[str, Any]:
    """Write a document into a data stream as a foreign sender would, and return the answer."""
    answer = pipeline.client.options(ignore_status=400).create(
        index=stream, id=uid, document=document, refresh=True
    )
    return dict(answer.body)


@contextmanager
def changed_templates(pipeline: Pipeline, tmp_path: Path) -> Iterator[Path]:
    """Give a copy of the templates to change; afterwards those of the project are back."""
    folder = tmp_path / "elasticsearch"
    shutil.copytree(pipeline.templates, folder)
    try:
        yield folder
    finally:
        install(pipeline.client, pipeline.templates)


def test_refused_document_is_on_record_once(pipeline: Pipeline) -> None:
    """What the mapping refuses gets one log record with target, id, reason and the document."""
    uid = new_trace_id()
    document = {
        "@timestamp": "yesterday",
        "resource": {"attributes": {"service.name": "foreign"}},
        "odd": {"": [1, {"a": None}]},
    }
    put(pipeline, LOG_STREAM, uid, **document)
    assert collect(pipeline.client) >= 1
    assert collect(pipeline.client) == 0

    (hit,) = pipeline.wait_for(DEAD_LETTERS, {"term": {semconv.DOCUMENT_ID: uid}})
    source = hit["_source"]
    assert source["attributes"][semconv.EVENT_NAME] == semconv.EVENT_DOCUMENT_REFUSED
    assert source["attributes"][semconv.DOCUMENT_TARGET] == LOG_STREAM
    assert source["attributes"][semconv.ERROR_TYPE] == "document_parsing_exception"
    assert "yesterday" in source["body"]["text"]
    kept = source["ddcolor"]["document"]["source"]
    assert {name: kept[name] for name in document} == document
    since = datetime.fromisoformat(source["event"]["ingested"])
    assert datetime.now(UTC) - since < timedelta(minutes=5)
    refused_at = datetime.fromisoformat(source["@timestamp"])
    assert timedelta(0) <= since - refused_at < timedelta(minutes=5)
    for query in (
        {"match_phrase": {"message": "Document refused"}},
        {"term": {"event.name": semconv.EVENT_DOCUMENT_REFUSED}},
        {"term": {"service.name": "foreign"}},
        {"term": {"log.level": "error"}},
    ):
        assert pipeline.search("logs-ddcolor.*", {"bool": {"filter": [
            query, {"term": {semconv.DOCUMENT_ID: uid}}]}})  # fmt: skip


def test_document_that_is_no_json_is_told_by_the_gateway(pipeline: Pipeline) -> None:
    """What no failure store can take is on record all the same, by way of the gateway's log."""
    twice = {"key": "twice", "value": {"intValue": "1"}}
    record = {"body": {"stringValue": "no JSON"}, "attributes": [twice, twice]}
    query = {"term": {semconv.ERROR_TYPE: "x_content_parse_exception"}}
    before = len(pipeline.search(DEAD_LETTERS, query))
    answer = requests.post(
        f"{pipeline.gateway_url}/v1/logs",
        json={"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]},
        timeout=30,
    )
    assert answer.status_code == 200

    hits = pipeline.wait_for(DEAD_LETTERS, query, before + 1)
    for hit in hits:
        attributes = hit["_source"]["attributes"]
        assert attributes[semconv.EVENT_NAME] == semconv.EVENT_DOCUMENT_REFUSED
        assert attributes[semconv.DOCUMENT_TARGET] == LOG_STREAM
        assert hit["_source"]["body"]["text"].startswith("Document refused: x_content")
        assert hit["_source"]["resource"]["attributes"]["service.name"] == "ddcolor-gateway"


def test_history_of_alerts_has_a_stream_of_its_own(pipeline: Pipeline) -> None:
    """Events of alerts are handed on to what is kept for 90 days, and read like any other."""
    trace_id = new_trace_id()
    pipeline.write_lines(
        [
            log_line("delivered", trace_id=trace_id, **{semconv.EVENT_NAME: name})
            for name in (semconv.EVENT_ALERT_DELIVERED, semconv.EVENT_NODE_FINISHED)
        ]
    )
    of_trace = {"term": {"trace_id": trace_id}}
    pipeline.wait_for("logs-ddcolor.*", of_trace, 2)
    (alert,) = pipeline.search(ALERTS, of_trace)
    assert alert["_source"]["attributes"][semconv.EVENT_NAME] == semconv.EVENT_ALERT_DELIVERED
    assert alert["_source"]["data_stream"]["dataset"] == "ddcolor.alerts"
    assert alert["_source"]["event"]["ingested"]
    (other,) = pipeline.search(LOG_STREAM, of_trace)
    assert other["_source"]["data_stream"]["dataset"] == "ddcolor.otel"


def test_changed_template_reaches_streams_that_are_there(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """After a change, the data stream goes on in an index with the new mapping; once."""
    put(pipeline, LOG_STREAM, new_trace_id(), **{"@timestamp": datetime.now(UTC).isoformat()})
    before = len(streams(pipeline)[LOG_STREAM].indices)
    with changed_templates(pipeline, tmp_path) as folder:
        file = folder / "component_templates" / "ddcolor-logs.json"
        body = json.loads(file.read_text())
        body["template"]["mappings"]["properties"]["added_later"] = {"type": "ip"}
        file.write_text(json.dumps(body))
        assert LOG_STREAM in install(pipeline.client, folder).rolled_over
        assert install(pipeline.client, folder).rolled_over == ()
        indices = streams(pipeline)[LOG_STREAM].indices
        assert len(indices) == before + 1
        mapping = pipeline.client.indices.get_mapping(index=indices[-1].name)
        properties = mapping[indices[-1].name]["mappings"]["properties"]
        assert properties["added_later"] == {"type": "ip"}


def test_check_finds_what_differs_and_says_what_to_do(pipeline: Pipeline, tmp_path: Path) -> None:
    """All is well after a set-up; an older pipeline, mapping or template is found by name."""
    put(pipeline, LOG_STREAM, new_trace_id(), **{"@timestamp": datetime.now(UTC).isoformat()})
    assert [each for each in check(pipeline.client, pipeline.templates) if each.problem] == []
    with changed_templates(pipeline, tmp_path) as folder:
        for kind, name in (
            ("ingest_pipelines", "ddcolor-traces"),
            ("component_templates", "ddcolor-logs"),
        ):
            file = folder / kind / f"{name}.json"
            file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 7}))
        problems = [each for each in check(pipeline.client, folder) if each.problem]
    assert {each.what for each in problems} >= {
        "/_ingest/pipeline/ddcolor-traces",
        "/_component_template/ddcolor-logs",
        "/_index_template/logs-ddcolor.otel",
        f"mapping of {LOG_STREAM}",
    }
    assert {each.advice for each in problems} == {"Run: ddcolor-obs data setup"}


def test_old_index_goes_and_the_youngest_stays(pipeline: Pipeline) -> None:
    """Seen from a later day, all but the index that is written to is too old and is deleted."""
    stream = "logs-ddcolor.otel-retention"
    for _ in range(2):
        put(pipeline, stream, new_trace_id(), **{"@timestamp": datetime.now(UTC).isoformat()})
        pipeline.client.indices.rollover(alias=stream)
    first, second, written = streams(pipeline)[stream].indices
    later = datetime.now(UTC) + timedelta(days=31)

    def told(*, dry_run: bool) -> set[str]:
        actions = retention.apply(pipeline.client, pipeline.templates, dry_run=dry_run, now=later)
        return {each.target for each in actions if each.action == "delete index"}

    before = told(dry_run=True)
    assert {first.name, second.name} <= before
    assert written.name not in before
    assert len(streams(pipeline)[stream].indices) == 3
    assert told(dry_run=False) == before
    assert [index.name for index in streams(pipeline)[stream].indices] == [written.name]
    assert told(dry_run=False) == set()


def test_old_writeback_documents_go_and_silences_in_force_stay(pipeline: Pipeline) -> None:
    """ElastAlert2's own memory is kept for 30 days, and as long as it has effect."""
    # Beside the real ones, which other tests may have in use.
    index, now = "elastalert-ddcolor_of_this_test", datetime.now(UTC)
    old, new = (now - timedelta(days=31)).isoformat(), (now - timedelta(days=29)).isoformat()
    dates = {"type": "date"}
    pipeline.client.indices.create(
        index=index, mappings={"properties": {"@timestamp": dates, "until": dates}}
    )
    try:
        for name, document in {
            "old": {"@timestamp": old},
            "over": {"@timestamp": old, "until": new},
            "in force": {"@timestamp": old, "until": (now + timedelta(days=1)).isoformat()},
            "new": {"@timestamp": new},
        }.items():
            pipeline.client.index(index=index, id=name, document=document, refresh=True)
        actions = retention.apply(pipeline.client, pipeline.templates, dry_run=False)
        assert [a.documents for a in actions if a.target == retention.WRITEBACK] == [2]
        pipeline.client.indices.refresh(index=index)
        left = pipeline.search(index, {"match_all": {}})
        assert {hit["_id"] for hit in left} == {"in force", "new"}
    finally:
        pipeline.client.indices.delete(index=index)


def test_keep_records_refusals_and_ends_when_told(pipeline: Pipeline, tmp_path: Path) -> None:
    """The command as a stack runs it: it finds what was refused, is healthy, and stops cleanly."""
    ready, log, uid = tmp_path / "ready", tmp_path / "data.jsonl", new_trace_id()
    keeper = subprocess.Popen(
        [
            *(sys.executable, "-m", "ddcolor_operations", "data", "keep"),
            *("--url", pipeline.url, "--every", "1"),
            *("--ready-file", str(ready), "--log-file", str(log)),
        ],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        eventually(ready.exists, timeout_s=60)
        put(pipeline, LOG_STREAM, uid, **{"@timestamp": "never"})
        pipeline.wait_for(DEAD_LETTERS, {"term": {semconv.DOCUMENT_ID: uid}})
    finally:
        keeper.send_signal(signal.SIGTERM)
        code = keeper.wait(timeout=30)
    assert code == 0
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert any(message.startswith("Elasticsearch refused 1 document") for message in messages)


@pytest.mark.parametrize(
    ("service", "fields"),
    [
        (
            "ddcolor-agent",
            [
                "otelcol_exporter_queue_size",
                "otelcol_exporter_queue_capacity",
                "otelcol_exporter_sent_log_records",
                "otelcol_receiver_accepted_log_records",
                "otelcol_process_memory_rss",
            ],
        ),
        (
            "ddcolor-gateway",
            [
                "otelcol_exporter_sent_log_records",
                "otelcol_receiver_accepted_log_records",
                "otelcol_process_memory_rss",
            ],
        ),
    ],
)
def test_collectors_figures_arrive(pipeline: Pipeline, service: str, fields: list[str]) -> None:
    """Queue, throughput and memory of both collectors are numbers in Elasticsearch."""
    pipeline.write_lines([log_line("counted")])
    for field in fields:
        pipeline.wait_for(
            METRIC_STREAM,
            {
                "bool": {
                    "filter": [{"term": {"service.name": service}}, {"range": {field: {"gte": 0}}}]
                }
            },
        )


@pytest.mark.parametrize(
    "field",
    [
        "system.cpu.utilization",
        "system.memory.utilization",
        "system.cpu.load_average.1m",
        "system.filesystem.utilization",
    ],
)
def test_hosts_figures_arrive(pipeline: Pipeline, field: str) -> None:
    """CPU, memory and disks of the machine are numbers in Elasticsearch."""
    pipeline.wait_for(METRIC_STREAM, {"range": {field: {"gte": 0}}}, timeout_s=60)
