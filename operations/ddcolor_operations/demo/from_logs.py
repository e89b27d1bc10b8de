"""What a run on the embedded stack left in its log files: there is no Elasticsearch to ask."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from comfyui_telemetry import semconv
from ddcolor_operations.report.charts import Bucket, Durations
from ddcolor_operations.report.collect import FaultRecord, step_of
from ddcolor_operations.report.spans import NOT_RUN

from .found import Found

_Record = dict[str, Any]


def read_logs(folder: Path, since: datetime, until: datetime) -> Found:
    """Return what the log files of ``folder`` tell of the time between; they hold no traces."""
    records = [
        record
        for file in sorted(folder.glob("*.jsonl*"))
        for record in _records(file)
        if since <= _time(record) <= until
    ]
    return Found(
        traces={},
        records=_faults(records),
        durations=_durations(records),
        outcomes=_outcomes(records, since, until),
        documents={},
    )


def _records(file: Path) -> Iterator[_Record]:
    for line in file.read_bytes().splitlines():
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            # The last line of a process that was killed.
            continue
        if isinstance(record, dict) and "@timestamp" in record:
            yield record


def _time(record: _Record) -> datetime:
    return datetime.fromisoformat(record["@timestamp"])


def _faults(records: Sequence[_Record]) -> list[FaultRecord]:
    found = [
        FaultRecord(
            kind=str(record[semconv.ERROR_KIND]),
            level=int(record.get(semconv.ERROR_LEVEL, 0)),
            said_s=_time(record).timestamp(),
            indexed_s=None,
            trace_id=record.get("trace_id"),
        )
        for record in records
        if semconv.ERROR_KIND in record
        and record.get(semconv.EVENT_NAME) != semconv.EVENT_PROMPT_FINISHED
    ]
    return sorted(found, key=lambda record: record.said_s)


def _durations(records: Sequence[_Record]) -> list[Durations]:
    took: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if (
            record.get(semconv.EVENT_NAME) == semconv.EVENT_NODE_FINISHED
            and record.get(semconv.NODE_OUTCOME) not in NOT_RUN
            and semconv.NODE_DURATION in record
        ):
            took[str(record[semconv.NODE_CLASS_TYPE])].append(record[semconv.NODE_DURATION])
    return [
        Durations(
            class_type=class_type,
            count=len(values),
            low=min(values),
            p50=statistics.median(values),
            p95=_p95(values),
            high=max(values),
        )
        for class_type, values in sorted(took.items(), key=lambda item: -len(item[1]))
    ]


def _p95(values: Sequence[float]) -> float:
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _outcomes(records: Sequence[_Record], since: datetime, until: datetime) -> list[Bucket]:
    ended = [
        record
        for record in records
        if record.get(semconv.EVENT_NAME) == semconv.EVENT_PROMPT_FINISHED
    ]
    step_s = step_of((until - since).total_seconds())
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for record in ended:
        column = int(_time(record).timestamp() // step_s)
        counts[column][str(record[semconv.PROMPT_OUTCOME])] += 1
    if not counts:
        return []
    return [
        Bucket(datetime.fromtimestamp(column * step_s, UTC), dict(counts[column]))
        for column in range(min(counts), max(counts) + 1)
    ]
