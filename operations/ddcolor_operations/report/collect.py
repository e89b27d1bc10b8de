"""What the report reads from Elasticsearch, as aggregations so that it scales to any run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elastic_transport import ObjectApiResponse
from elasticsearch import Elasticsearch

from comfyui_telemetry import semconv
from ddcolor_operations.elastic.queries import LOGS, TRACES

from .charts import Bucket, Durations
from .spans import NOT_RUN

_MOST_CLASSES = 50
_MOST_FAULTS = 1000
_COLUMNS = 30
_INTERVALS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """The log record that says a fault; both times are Unix seconds."""

    kind: str
    level: int
    said_s: float
    indexed_s: float | None
    trace_id: str | None


def node_durations(client: Elasticsearch, since: datetime) -> list[Durations]:
    """Return how long the nodes of each class took that began at or after ``since``.

    Nodes that did not run took no time and are left out.
    """
    answer = client.search(
        index=TRACES,
        size=0,
        query={
            "bool": {
                # A failed prompt names the class of its node, too; only a node has this outcome.
                "filter": [_since(since), {"exists": {"field": semconv.NODE_OUTCOME}}],
                "must_not": {"terms": {semconv.NODE_OUTCOME: NOT_RUN}},
            }
        },
        aggs={
            "classes": {
                "terms": {"field": semconv.NODE_CLASS_TYPE, "size": _MOST_CLASSES},
                "aggs": {
                    "range": {"stats": {"field": "duration"}},
                    "middle": {"percentiles": {"field": "duration", "percents": [50, 95]}},
                },
            }
        },
    )
    return [
        Durations(
            class_type=str(bucket["key"]),
            count=int(bucket["doc_count"]),
            low=bucket["range"]["min"] / 1e9,
            p50=bucket["middle"]["values"]["50.0"] / 1e9,
            p95=bucket["middle"]["values"]["95.0"] / 1e9,
            high=bucket["range"]["max"] / 1e9,
        )
        for bucket in _buckets(answer, "classes")
    ]


def prompt_outcomes(client: Elasticsearch, since: datetime, until: datetime) -> list[Bucket]:
    """Return the prompts that ended in equal steps of time by outcome, empty steps included."""
    step_s = step_of((until - since).total_seconds())
    answer = client.search(
        index=LOGS,
        size=0,
        query={
            "bool": {
                "filter": [
                    _since(since),
                    {"term": {semconv.EVENT_NAME: semconv.EVENT_PROMPT_FINISHED}},
                ]
            }
        },
        aggs={
            "time": {
                "date_histogram": {"field": "@timestamp", "fixed_interval": f"{step_s}s"},
                "aggs": {"outcomes": {"terms": {"field": semconv.PROMPT_OUTCOME}}},
            }
        },
    )
    return [
        Bucket(
            start=datetime.fromtimestamp(bucket["key"] / 1000, UTC),
            counts={str(o["key"]): int(o["doc_count"]) for o in bucket["outcomes"]["buckets"]},
        )
        for bucket in _buckets(answer, "time")
    ]


def step_of(length_s: float) -> int:
    """Return the seconds of one column, for a chart over that much time."""
    return next((s for s in _INTERVALS_S if length_s / s <= _COLUMNS), _INTERVALS_S[-1])


def fault_records(client: Elasticsearch, since: datetime) -> list[FaultRecord]:
    """Return the log records that carry an error kind, oldest first."""
    answer = client.search(
        index=LOGS,
        size=_MOST_FAULTS,
        sort=[{"@timestamp": "asc"}],
        query={
            "bool": {
                "filter": [_since(since), {"exists": {"field": semconv.ERROR_KIND}}],
                "must_not": {"term": {semconv.EVENT_NAME: semconv.EVENT_PROMPT_FINISHED}},
            }
        },
    )
    return [_fault_record(hit["_source"]) for hit in answer["hits"]["hits"]]


def _buckets(answer: ObjectApiResponse[Any], name: str) -> list[dict[str, Any]]:
    """Return the buckets of an aggregation; a stream that has no document yet has none at all."""
    buckets: list[dict[str, Any]] = answer.get("aggregations", {}).get(name, {}).get("buckets", [])
    return buckets


def _fault_record(source: Mapping[str, Any]) -> FaultRecord:
    # The collector writes a time as milliseconds with a fraction: "1763983252123.456789".
    attributes = source["attributes"]
    ingested = source.get("event", {}).get("ingested")
    return FaultRecord(
        kind=str(attributes[semconv.ERROR_KIND]),
        level=int(attributes.get(semconv.ERROR_LEVEL, 0)),
        said_s=float(source["@timestamp"]) / 1000,
        indexed_s=None if ingested is None else datetime.fromisoformat(ingested).timestamp(),
        trace_id=source.get("trace_id") or None,
    )


def nearest(records: Sequence[FaultRecord], kind: str, said_s: float) -> FaultRecord | None:
    """Return the record of ``kind`` that was written at ``said_s``, within clock rounding (1 ms).

    None if the alert speaks of no single record (a count over a window).
    """
    same = [record for record in records if record.kind == kind]
    best = min(same, key=lambda record: abs(record.said_s - said_s), default=None)
    return best if best is not None and abs(best.said_s - said_s) < 0.001 else None


def _since(moment: datetime) -> dict[str, Any]:
    return {"range": {"@timestamp": {"gte": moment.isoformat()}}}
