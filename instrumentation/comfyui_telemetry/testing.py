"""For tests of code that uses this library: keep its output in memory and check its names.

with capture() as captured:
    serve_one_prompt(captured.telemetry)
assert captured.record(semconv.EVENT_NODE_FINISHED)[semconv.NODE_OUTCOME] == "executed"
assert check_declared(captured.records, captured.spans, captured.metrics()) == []
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from . import semconv
from ._configure import Telemetry
from ._losses import Losses
from ._settings import Settings
from ._sinks import MemorySink
from ._tracing import SpanQueue

__all__ = ["Captured", "Measurement", "capture", "check_declared"]

_RECORD_FIELDS = frozenset({"@timestamp", "log.level", "message", "span_id", "trace_id"})
_TYPES: dict[str, type] = {"string": str, "int": int, "double": float, "boolean": bool}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One data point: the value of a counter or gauge, the sum (and ``count``) of a histogram."""

    name: str
    unit: str
    attributes: dict[str, Any]
    value: float
    count: int | None


class Captured:
    """What a :class:`~comfyui_telemetry.Telemetry` wrote, as it would have left the process."""

    def __init__(
        self,
        telemetry: Telemetry,
        sink: MemorySink,
        exporter: InMemorySpanExporter,
        reader: InMemoryMetricReader,
    ) -> None:
        self.telemetry = telemetry
        self._sink = sink
        self._exporter = exporter
        self._reader = reader

    @property
    def lines(self) -> list[bytes]:
        """Return all log lines so far."""
        return list(self._sink.lines)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return all log records so far."""
        return [orjson.loads(line) for line in self.lines]

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Return all spans that ended so far."""
        self.telemetry.tracer_provider.force_flush()
        return self._exporter.get_finished_spans()

    def metrics(self) -> list[Measurement]:
        """Return the data points of all metrics."""
        self.telemetry.flush()
        data = self._reader.get_metrics_data()
        return [
            Measurement(
                metric.name,
                metric.unit or "",
                dict(point.attributes or {}),
                float(getattr(point, "value", getattr(point, "sum", 0.0))),
                getattr(point, "count", None),
            )
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    def events(self, event_name: str) -> list[dict[str, Any]]:
        """Return the records of one event."""
        return [record for record in self.records if record.get(semconv.EVENT_NAME) == event_name]

    def record(self, event_name: str) -> dict[str, Any]:
        """Return the only record of an event; ``AssertionError`` if there is none or another."""
        found = self.events(event_name)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} records of {event_name}, not 1: {found}")
        return found[0]

    def span(self, name: str) -> ReadableSpan:
        """Return the only span of a name; ``AssertionError`` if there is none or another."""
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} spans named {name!r}, not 1")
        return found[0]


@contextlib.contextmanager
def capture(*, join: bool = False, **settings: Any) -> Iterator[Captured]:
    """Yield a telemetry that keeps everything in memory; parameters as for ``configure``.

    It has no heartbeat and figures of its process only with ``role="service"``, so that nothing
    comes in between. With ``join`` stdlib logging, warnings and uncaught exceptions are captured
    too.
    """
    chosen = Settings(
        **{
            "service_name": "test",
            "service_version": None,
            "log_file": None,
            "log_stdout": False,
            "traces": True,
            "metrics": True,
            "time_limit_s": 30.0,
            "heartbeat_s": 10.0,
            "service_heartbeat_s": 0.0,
            "log_level": "debug",
            "log_max_bytes": 1_000_000,
            "log_backups": 1,
            "device_timing": False,
            "role": "part",
            **settings,
        }
    )
    losses, sink, exporter = Losses(), MemorySink(), InMemorySpanExporter()
    reader = InMemoryMetricReader()
    telemetry = Telemetry(chosen, losses, [sink], SpanQueue([exporter], losses), [reader])
    telemetry.start(join=join)
    try:
        yield Captured(telemetry, sink, exporter, reader)
    finally:
        telemetry.shutdown()


def check_declared(
    records: Iterable[Mapping[str, Any]],
    spans: Iterable[ReadableSpan] = (),
    metrics: Iterable[Measurement] = (),
) -> list[str]:
    """Return what is not as :mod:`comfyui_telemetry.semconv` declares it, one line each."""
    problems: set[str] = set()
    for record in records:
        event_name = record.get(semconv.EVENT_NAME)
        where = f"record {event_name or record.get('message', '')!r:.60}"
        if event_name is not None and event_name not in semconv.EVENTS:
            problems.add(f"{where}: event {event_name} is not declared")
        attributes = {key: value for key, value in record.items() if key not in _RECORD_FIELDS}
        problems.update(_undeclared(where, attributes))
    for span in spans:
        problems.update(_undeclared(f"span {span.name!r}", span.attributes or {}))
    for point in metrics:
        where = f"metric {point.name}"
        declared = semconv.METRICS.get(point.name)
        if declared is None:
            problems.add(f"{where}: it is not declared")
        elif declared.unit != point.unit:
            problems.add(f"{where}: unit {point.unit}, not {declared.unit}")
        problems.update(_undeclared(where, point.attributes))
    return sorted(problems)


def _undeclared(where: str, attributes: Mapping[str, Any]) -> Iterator[str]:
    for name, value in attributes.items():
        declared = semconv.ATTRIBUTES.get(name)
        if declared is None:
            yield f"{where}: attribute {name} is not declared"
        elif not _has_type(value, declared.type):
            yield f"{where}: {name} is a {type(value).__name__}, not a {declared.type}"


def _has_type(value: object, declared: semconv.ValueType) -> bool:
    if declared == "string[]":
        return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
    # Exactly: a whole number where a double is declared would be mapped as a long.
    return type(value) is _TYPES[declared]
