"""What reaches Elasticsearch, and in which shape, through the real agent and gateway."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.elastic import queries
from tests.support.elastic import (
    LOG_STREAM,
    METRIC_STREAM,
    SPAN_STREAM,
    Pipeline,
    eventually,
    log_line,
    new_span_id,
    new_trace_id,
    otlp_attributes,
    otlp_span,
)

# A busy machine takes its time to start three servers, which counts for the first test.
pytestmark = pytest.mark.timeout(300)


def of_trace(trace_id: str) -> dict[str, Any]:
    """Return the query for the documents of a trace."""
    return {"term": {"trace_id": trace_id}}


def with_prompt(prompt_id: str) -> dict[str, Any]:
    """Return the query for the documents of a prompt, by the name without a prefix."""
    return {"term": {semconv.PROMPT_ID: prompt_id}}


def test_log_line_arrives_with_its_fields_and_types(pipeline: Pipeline) -> None:
    """A log line becomes one document whose id, times, ids, level and attributes are its own."""
    trace_id, span_id = new_trace_id(), new_span_id()
    line = log_line(
        "Out of memory: node DDColor_Colorize (2): 2 GiB wanted",
        **{
            "@timestamp": "2026-03-01T10:20:30.000045Z",
            "log.level": "error",
            "trace_id": trace_id,
            "span_id": span_id,
            semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
            semconv.ERROR_KIND: "out_of_memory",
            semconv.ERROR_LEVEL: 2,
            semconv.NODE_DURATION: 4.0,
        },
    )
    before = datetime.now(UTC)
    pipeline.write_lines([line])

    (hit,) = pipeline.wait_for(LOG_STREAM, of_trace(trace_id))
    assert hit["_id"] == line["log.record.uid"]
    assert "_ignored" not in hit
    (record,) = queries.logs_of_trace(pipeline.client, trace_id)
    assert record.timestamp == datetime(2026, 3, 1, 10, 20, 30, 45, UTC)
    assert record.severity == "error"
    assert record.message == line["message"]
    assert record.span_id == span_id
    assert record.event_name == semconv.EVENT_NODE_FINISHED
    assert record.ingested is not None
    assert record.ingested >= before.replace(microsecond=before.microsecond // 1000 * 1000)
    assert record.attributes[semconv.ERROR_LEVEL] == 2
    assert isinstance(record.attributes[semconv.ERROR_LEVEL], int)
    assert record.attributes[semconv.NODE_DURATION] == 4.0
    assert record.resource[semconv.SERVICE_NAME] == "ddcolor-service"
    assert set(line) - set(record.attributes) == {
        *("@timestamp", "log.level", "message", "trace_id", "span_id"),
        *("service.name", "service.version", "service.instance.id"),
    }


@pytest.mark.parametrize(
    "query",
    [
        {"term": {"service.name": "ddcolor-notifier"}},
        {"term": {semconv.ERROR_KIND: "model_not_loaded"}},
        {"range": {semconv.ERROR_LEVEL: {"gte": 3, "lt": 4}}},
        {"range": {semconv.NODE_DURATION: {"gt": 30.4, "lt": 30.6}}},
        {"match_phrase": {"message": "Model not loaded"}},
        {"term": {"log.level": "critical"}},
        {"range": {"severity_number": {"gte": 17}}},
        {"term": {semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED}},
        {"range": {"event.ingested": {"gte": "now-1h"}}},
        {"kql": {"query": 'service.name : "ddcolor-notifier" and comfyui.error.level >= 3'}},
    ],
    ids=lambda query: json.dumps(query)[:60],
)
def test_log_line_is_found_by_the_names_that_rules_use(
    pipeline: Pipeline, query: dict[str, Any]
) -> None:
    """Every field that rules ask for is queryable under its own name, numbers as numbers."""
    trace_id = new_trace_id()
    pipeline.write_lines(
        [
            log_line(
                "Model not loaded: checkpoint is missing",
                **{
                    "log.level": "critical",
                    "trace_id": trace_id,
                    "service.name": "ddcolor-notifier",
                    semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
                    semconv.ERROR_KIND: "model_not_loaded",
                    semconv.ERROR_LEVEL: 3,
                    semconv.NODE_DURATION: 30.5,
                },
            )
        ]
    )
    pipeline.wait_for(LOG_STREAM, {"bool": {"filter": [of_trace(trace_id), query]}})


def test_lines_of_two_services_keep_their_own_service_name(pipeline: Pipeline) -> None:
    """Lines that are read in one batch are not mixed up."""
    trace_id = new_trace_id()
    names = ["ddcolor-service", "ddcolor-notifier"] * 5
    pipeline.write_lines(
        log_line(name, trace_id=trace_id, **{"service.name": name}) for name in names
    )

    pipeline.wait_for(LOG_STREAM, of_trace(trace_id), len(names))
    records = queries.logs_of_trace(pipeline.client, trace_id)
    assert [record.resource["service.name"] for record in records] == [
        record.message for record in records
    ]


def test_span_arrives_with_its_parent_and_types(pipeline: Pipeline) -> None:
    """A span becomes one document whose id is its trace and span id."""
    trace_id, root, child = new_trace_id(), new_span_id(), new_span_id()
    pipeline.post("traces", otlp_span(trace_id, root, name="prompt", duration_ns=3_000_000))
    pipeline.post(
        "traces",
        otlp_span(
            trace_id,
            child,
            name="node DDColor_Colorize",
            parent=root,
            attributes={
                semconv.NODE_CLASS_TYPE: "DDColor_Colorize",
                semconv.ERROR_LEVEL: 2,
                semconv.NODE_DURATION: 4.0,
            },
            status_message="Out of memory",
            duration_ns=1_500_000,
        ),
    )

    hits = pipeline.wait_for(SPAN_STREAM, of_trace(trace_id), 2)
    assert {hit["_id"] for hit in hits} == {trace_id + root, trace_id + child}
    assert not any("_ignored" in hit for hit in hits)
    spans = {span.span_id: span for span in queries.trace(pipeline.client, trace_id)}
    assert spans[root].parent_span_id is None
    span = spans[child]
    assert span.parent_span_id == root
    assert span.name == "node DDColor_Colorize"
    assert span.duration_s == pytest.approx(0.0015)
    assert (span.status, span.status_message) == ("Error", "Out of memory")
    assert span.kind == "Internal"
    assert span.attributes[semconv.ERROR_LEVEL] == 2
    assert span.attributes[semconv.NODE_DURATION] == 4.0
    assert span.resource[semconv.SERVICE_NAME] == "ddcolor-service"
    assert span.ingested is not None
    pipeline.wait_for(
        SPAN_STREAM,
        {"bool": {"filter": [of_trace(trace_id), {"term": {"service.name": "ddcolor-service"}}]}},
        2,
    )


def test_metrics_of_every_kind_arrive(pipeline: Pipeline) -> None:
    """Gauges, counters and delta histograms are taken; their values are kept."""
    now = str(time.time_ns())
    prompt = new_trace_id()
    point = {
        "timeUnixNano": now,
        "startTimeUnixNano": now,
        "attributes": otlp_attributes({semconv.PROMPT_ID: prompt}),
    }
    monotonic = {"aggregationTemporality": 1, "isMonotonic": True}
    histogram = {"count": "3", "sum": 6.0, "bucketCounts": ["1", "2"], "explicitBounds": [1.0]}
    metrics = [
        {"name": "test.gauge", "gauge": {"dataPoints": [{**point, "asDouble": 0.5}]}},
        {"name": "test.level", "gauge": {"dataPoints": [{**point, "asInt": "7"}]}},
        {"name": "test.count", "sum": {**monotonic, "dataPoints": [{**point, "asInt": "3"}]}},
        {"name": "test.sum", "sum": {**monotonic, "dataPoints": [{**point, "asDouble": 1.5}]}},
        {
            "name": semconv.METRIC_NODE_DURATION,
            "unit": "s",
            "histogram": {"aggregationTemporality": 1, "dataPoints": [{**point, **histogram}]},
        },
    ]
    pipeline.post("metrics", {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})

    def found() -> dict[str, Any]:
        values: dict[str, Any] = {}
        for hit in pipeline.search(METRIC_STREAM, with_prompt(prompt)):
            values.update(hit["_source"]["metrics"])
        return values

    values = eventually(found, lambda values: len(values) == len(metrics))
    assert values["test.gauge"] == 0.5
    assert values["test.level"] == 7
    assert values["test.count"] == 3
    assert values["test.sum"] == 1.5
    assert values[semconv.METRIC_NODE_DURATION]["counts"] == [1, 2]


def test_resent_line_and_span_make_no_second_document(pipeline: Pipeline) -> None:
    """The same line or span twice is one document: the ids are the sender's."""
    trace_id, span_id = new_trace_id(), new_span_id()
    line = log_line("once", trace_id=trace_id)
    span = otlp_span(trace_id, span_id)
    pipeline.write_lines([line, line], name="resent")
    pipeline.write_lines([line], name="resent-by-another-file")
    for _ in range(3):
        pipeline.post("traces", span)

    # What comes after them in the same queue shows that they were handled.
    after = new_trace_id()
    pipeline.write_lines([log_line("after", trace_id=after)], name="resent-by-another-file")
    pipeline.write_lines([log_line("after", trace_id=after)], name="resent")
    pipeline.post("traces", otlp_span(after, span_id))
    pipeline.wait_for(LOG_STREAM, of_trace(after), 2)
    pipeline.wait_for(SPAN_STREAM, of_trace(after))
    assert len(pipeline.search(LOG_STREAM, of_trace(trace_id))) == 1
    assert len(pipeline.search(SPAN_STREAM, of_trace(trace_id))) == 1


def test_line_that_is_not_ours_is_kept_and_marked(pipeline: Pipeline) -> None:
    """A torn, plain or foreign line is kept with its text, marked, and has one id."""
    mark = new_trace_id()
    lines = [f'{{"message": "cut off {mark}', f"plain text {mark}", f'["list", "{mark}"]']
    pipeline.write_lines(lines, name="foreign")

    hits = pipeline.wait_for(LOG_STREAM, {"match": {"message": mark}}, len(lines))
    assert sorted(hit["_source"]["body"]["text"] for hit in hits) == sorted(lines)
    for hit in hits:
        assert hit["_source"]["attributes"] == {
            semconv.LOG_MALFORMED: True,
            semconv.LOG_FILE_NAME: "foreign.jsonl",
        }
        assert len(hit["_id"]) == 64


def test_line_with_bad_time_and_ids_is_kept(pipeline: Pipeline) -> None:
    """What cannot be read in a line is left out; the line arrives with the time of its reading."""
    message = f"bad {new_trace_id()}"
    pipeline.write_lines([log_line(message, **{"@timestamp": "yesterday", "trace_id": "zz"})])

    (hit,) = pipeline.wait_for(LOG_STREAM, {"match_phrase": {"message": message}})
    assert hit["_source"]["@timestamp"] == hit["_source"]["observed_timestamp"]
    assert "trace_id" not in hit["_source"]


ODD_VALUES: list[Any] = [
    *(1, "text", 1.5, True, None, [], {"b": 1}, [{"b": 1}, {"b": "x"}], [1, "x", None]),
    *(10**30, 1e300, "2026-01-01", "x" * 40_000, {"a": {"b": {"c": {"d": {"e": 1}}}}}),
]
ODD_NAMES = [
    *("odd", "odd.b", semconv.ERROR_LEVEL, semconv.NODE_DURATION, "log.level", "event"),
    *("", " ", "\u3000", ".", "a..b", "n" * 3000, "service.name.x", "@timestamp.x"),
]


def test_no_shape_of_an_attribute_makes_elasticsearch_refuse_a_line(pipeline: Pipeline) -> None:
    """One name with every type of value, and every odd name, arrives: the gateway cannot tell."""
    trace_id = new_trace_id()
    lines = [
        log_line(f"{name[:20]!r} is {str(value)[:20]}", trace_id=trace_id, **{name: value})
        for name in ODD_NAMES
        for value in ODD_VALUES
    ]
    lines.append(log_line("many", trace_id=trace_id, **{f"many.{i}": i for i in range(500)}))
    pipeline.write_lines(lines, name="odd")

    def missing() -> list[str]:
        found = {hit["_id"] for hit in pipeline.search(LOG_STREAM, of_trace(trace_id))}
        return [line["message"] for line in lines if line["log.record.uid"] not in found]

    eventually(missing, lambda messages: not messages, timeout_s=60)


def test_large_records_pass_every_limit_on_the_way(pipeline: Pipeline) -> None:
    """A burst of large records, far more than 4 MiB together, is split and arrives whole."""
    trace_id = new_trace_id()
    pipeline.write_lines(
        (
            log_line("large", trace_id=trace_id, **{semconv.ERROR_STACK_TRACE: "frame " * 2500})
            for _ in range(800)
        ),
        name="large",
    )

    hits = pipeline.wait_for(LOG_STREAM, of_trace(trace_id), 800)
    assert {len(hit["_source"]["attributes"][semconv.ERROR_STACK_TRACE]) for hit in hits} == {15000}


def test_documents_are_counted_by_data_stream(pipeline: Pipeline) -> None:
    """The counts name data streams and hold what arrived since the given time."""
    since = datetime.now(UTC)
    trace_id = new_trace_id()
    pipeline.write_lines(log_line("counted", trace_id=trace_id) for _ in range(3))
    pipeline.post("traces", otlp_span(trace_id, new_span_id()))
    pipeline.wait_for(LOG_STREAM, of_trace(trace_id), 3)
    pipeline.wait_for(SPAN_STREAM, of_trace(trace_id))

    counts = queries.count_by_stream(pipeline.client, since)
    assert counts[LOG_STREAM] >= 3
    assert counts[SPAN_STREAM] >= 1
