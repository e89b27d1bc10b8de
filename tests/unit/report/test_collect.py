"""What is read from Elasticsearch's answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from elasticsearch import Elasticsearch

from comfyui_telemetry import semconv
from ddcolor_operations.report.collect import (
    FaultRecord,
    fault_records,
    nearest,
    node_durations,
    prompt_outcomes,
)
from tests.support.runs import START


class _Played:
    """Answers every search with one answer and keeps the searches."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self.searches: list[dict[str, Any]] = []

    def search(self, **body: Any) -> dict[str, Any]:
        self.searches.append(body)
        return self._answer


def played(answer: dict[str, Any]) -> tuple[Elasticsearch, list[dict[str, Any]]]:
    """Return a client that answers ``answer``, and its searches."""
    client = _Played(answer)
    return cast("Elasticsearch", client), client.searches


def test_durations_are_seconds_of_nodes_that_ran() -> None:
    """Elasticsearch has nanoseconds; a node that did not run took none; a prompt is no node."""
    bucket = {
        "key": "LoadImage",
        "doc_count": 4,
        "range": {"min": 1e6, "max": 4e9},
        "middle": {"values": {"50.0": 2e9, "95.0": 3.5e9}},
    }
    client, searches = played({"aggregations": {"classes": {"buckets": [bucket]}}})
    (found,) = node_durations(client, START)

    assert (found.class_type, found.count) == ("LoadImage", 4)
    assert (found.low, found.p50, found.p95, found.high) == (0.001, 2.0, 3.5, 4.0)
    asked = searches[0]["query"]["bool"]
    assert {"exists": {"field": semconv.NODE_OUTCOME}} in asked["filter"]
    assert asked["must_not"] == {"terms": {semconv.NODE_OUTCOME: ("cached", "skipped")}}


@pytest.mark.parametrize(
    ("length_s", "interval"), [(20, "1s"), (171, "10s"), (3600, "120s"), (10**8, "86400s")]
)
def test_a_run_of_any_length_has_a_readable_number_of_columns(length_s: int, interval: str) -> None:
    """The step grows with the run."""
    client, searches = played({"aggregations": {"time": {"buckets": []}}})

    assert prompt_outcomes(client, START, START + timedelta(seconds=length_s)) == []
    assert searches[0]["aggs"]["time"]["date_histogram"]["fixed_interval"] == interval


def test_outcomes_are_counted_in_each_step() -> None:
    """A step without a prompt is an empty one."""
    buckets = [
        {
            "key": START.timestamp() * 1000,
            "outcomes": {"buckets": [{"key": "failed", "doc_count": 2}]},
        },
        {"key": START.timestamp() * 1000 + 1000, "outcomes": {"buckets": []}},
    ]
    client, _ = played({"aggregations": {"time": {"buckets": buckets}}})
    first, second = prompt_outcomes(client, START, START + timedelta(seconds=2))

    assert (first.start, first.counts) == (START, {"failed": 2})
    assert second.counts == {}


def test_a_faults_record_has_when_it_was_said_and_when_it_was_found() -> None:
    """The collector writes milliseconds with a fraction, the pipeline ISO."""
    source = {
        "@timestamp": "1769848211000.250000",
        "event": {"ingested": "2026-01-31T08:30:11.500000Z"},
        "trace_id": "ab",
        "attributes": {semconv.ERROR_KIND: "out_of_memory", semconv.ERROR_LEVEL: 2.0},
    }
    client, _ = played({"hits": {"hits": [{"_source": source}]}})
    (record,) = fault_records(client, START)

    assert record.said_s == pytest.approx(START.timestamp() + 11.00025)
    assert record.indexed_s == pytest.approx(START.timestamp() + 11.5)
    assert (record.kind, record.level, record.trace_id) == ("out_of_memory", 2, "ab")


def test_an_alert_finds_its_record_by_kind_and_time() -> None:
    """A count over a window has no single record."""
    records = [FaultRecord("a", 2, said, None, None) for said in (1.0, 2.0)]

    assert nearest(records, "a", 2.0000004) == records[1]
    assert nearest(records, "a", 1.5) is None
    assert nearest(records, "b", 2.0) is None
    assert nearest([], "a", 2.0) is None


def test_a_stream_without_documents_is_no_error() -> None:
    """Elasticsearch leaves the aggregations out where no data stream exists; the report goes on."""
    client, _ = played({"hits": {"hits": []}})

    assert node_durations(client, START) == []
    assert prompt_outcomes(client, START, START + timedelta(seconds=9)) == []
    assert fault_records(client, START) == []
