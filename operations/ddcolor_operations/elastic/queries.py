"""Read spans and log records back: what happened in one trace, and how much is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elasticsearch import ApiError, Elasticsearch

LOGS = "logs-ddcolor.otel-*"
# With the history of alerts, which has a data stream of its own.
ALL_LOGS = "logs-ddcolor.*"
TRACES = "traces-ddcolor.otel-*"
METRICS = "metrics-ddcolor.otel-*"

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """One span; times in UTC with microseconds, ``duration_s`` in seconds.

    ``attributes`` are the span's own, ``resource`` those of the process, both by their full names.
    ``status`` is Unset, Ok or Error; ``kind`` is Internal, Server, Client, Producer or Consumer.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    start: datetime
    duration_s: float
    status: str
    status_message: str
    ingested: datetime | None
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record; ``severity`` is as the service wrote it (``error``), ``uid`` is the _id."""

    uid: str
    timestamp: datetime
    severity: str
    message: str
    trace_id: str | None
    span_id: str | None
    event_name: str | None
    ingested: datetime | None
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]


def trace(client: Elasticsearch, trace_id: str) -> list[Span]:
    """Return the spans of a trace that Elasticsearch shows now, earliest first."""
    hits = _search_all(client, TRACES, {"term": {"trace_id": trace_id}})
    return sorted((_span(hit["_source"]) for hit in hits), key=lambda span: span.start)


def logs_of_trace(client: Elasticsearch, trace_id: str, index: str = LOGS) -> list[LogRecord]:
    """Return the log records of a trace that Elasticsearch shows now, earliest first."""
    hits = _search_all(client, index, {"term": {"trace_id": trace_id}})
    return sorted(map(_log_record, hits), key=lambda record: record.timestamp)


def count_by_stream(client: Elasticsearch, since: datetime) -> dict[str, int]:
    """Return how many documents arrived in each data stream since ``since`` (with a time zone)."""
    if since.tzinfo is None:
        raise ValueError("since has no time zone: use datetime.now(UTC)")
    answer = client.search(
        index=f"{LOGS},{TRACES},{METRICS}",
        size=0,
        query={"range": {"event.ingested": {"gte": since.astimezone(UTC).isoformat()}}},
        aggregations={"streams": {"terms": {"field": "_index", "size": 1000}}},
        ignore_unavailable=True,
        allow_no_indices=True,
    )
    counts: dict[str, int] = {}
    # _index names a backing index (.ds-<stream>-<date>-<number>), of which a stream has several.
    for bucket in answer.get("aggregations", {}).get("streams", {}).get("buckets", []):
        stream = str(bucket["key"]).removeprefix(".ds-").rsplit("-", 2)[0]
        counts[stream] = counts.get(stream, 0) + int(bucket["doc_count"])
    return dict(sorted(counts.items()))


def _search_all(
    client: Elasticsearch, index: str, query: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield every hit, over as many pages as it takes; a missing data stream has none."""
    if not client.indices.exists(index=index, allow_no_indices=False):
        return
    point = {"id": _open_point_in_time(client, index), "keep_alive": "1m"}
    after: list[Any] | None = None
    try:
        while True:
            answer = client.search(
                pit=point, query=query, size=_PAGE, sort=["_shard_doc"], search_after=after
            )
            hits = answer["hits"]["hits"]
            yield from hits
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]
    finally:
        client.close_point_in_time(id=point["id"])


def _open_point_in_time(client: Elasticsearch, index: str) -> str:
    try:
        return str(client.open_point_in_time(index=index, keep_alive="1m")["id"])
    except ApiError as error:
        # The first document of a stream has just made an index whose shard is about to start.
        if error.status_code != 503:
            raise
    client.cluster.health(index=index, wait_for_status="yellow", timeout="5s")
    return str(client.open_point_in_time(index=index, keep_alive="1m")["id"])


def _span(source: Mapping[str, Any]) -> Span:
    status = source.get("status", {})
    return Span(
        trace_id=source["trace_id"],
        span_id=source["span_id"],
        parent_span_id=source.get("parent_span_id"),
        name=source.get("name", ""),
        kind=source.get("kind", ""),
        start=_time(source["@timestamp"]),
        duration_s=source.get("duration", 0) / 1e9,
        status=status.get("code", "Unset"),
        status_message=status.get("message", ""),
        ingested=_ingested(source),
        attributes=source.get("attributes", {}),
        resource=source.get("resource", {}).get("attributes", {}),
    )


def _log_record(hit: Mapping[str, Any]) -> LogRecord:
    source = hit["_source"]
    return LogRecord(
        uid=hit["_id"],
        timestamp=_time(source["@timestamp"]),
        severity=source.get("severity_text", ""),
        message=source.get("body", {}).get("text", ""),
        trace_id=source.get("trace_id"),
        span_id=source.get("span_id"),
        event_name=source.get("event_name"),
        ingested=_ingested(source),
        attributes=source.get("attributes", {}),
        resource=source.get("resource", {}).get("attributes", {}),
    )


def _time(value: str) -> datetime:
    """Read the exporter's ``milliseconds.nanoseconds`` since 1970 (the last three digits go)."""
    milliseconds, _, nanoseconds = value.partition(".")
    seconds, rest = divmod(int(milliseconds), 1000)
    microsecond = rest * 1000 + int(nanoseconds or 0) // 1000
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microsecond)


def _ingested(source: Mapping[str, Any]) -> datetime | None:
    value = source.get("event", {}).get("ingested")
    return datetime.fromisoformat(value) if value else None
