"""The metrics of a ComfyUI service: instruments, providers and exporters.

Recording into an SDK histogram costs more than the log line beside it, so the worker thread only
notes a measurement and the watch thread records it within about a second.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.environment_variables import (
    OTEL_METRICS_EXEMPLAR_FILTER,
)
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from . import _losses, semconv
from ._gpu import GpuReading
from ._losses import Losses
from ._version import __version__
from ._vitals import Vitals, resident_bytes

# Seconds: from a cached node to a prompt that waits behind others.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 120, 300, 600)
_PENDING = 10_000
# Four hours at the default interval of a minute.
_WAITING_EXPORTS = 240


class KeepingExporter(MetricExporter):
    """Pass metrics on to ``exporter``; what could not be sent goes before the next, in order.

    Counters and histograms are sent as deltas, so an export that is given up is lost for ever.
    """

    def __init__(self, exporter: MetricExporter, losses: Losses) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,
            preferred_aggregation=exporter._preferred_aggregation,
        )
        self._exporter = exporter
        self._losses = losses
        self._waiting: deque[MetricsData] = deque()
        self._pid = os.getpid()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> MetricExportResult:
        """Export this and what waits; one failure leaves the rest for the next interval."""
        if self._pid != os.getpid():
            # A forked child: what its parent has kept the parent sends.
            self._pid = os.getpid()
            self._waiting.clear()
        self._waiting.append(metrics_data)
        if len(self._waiting) > _WAITING_EXPORTS:
            self._lose(self._waiting.popleft())
        deadline = time.monotonic() + timeout_millis / 1000
        while self._waiting and time.monotonic() < deadline:
            if self._send(self._waiting[0], timeout_millis, kwargs):
                self._waiting.popleft()
            elif len(self._waiting) > 1 and self._send(self._waiting[-1], timeout_millis, kwargs):
                # The collector is there and will not have the old one; the others must not wait.
                self._waiting.pop()
                self._lose(self._waiting.popleft())
            else:
                return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS

    def _send(self, data: MetricsData, timeout_millis: float, more: dict[str, object]) -> bool:
        detail = ""
        try:
            if self._exporter.export(data, timeout_millis, **more) is MetricExportResult.SUCCESS:
                return True
        except Exception as error:  # noqa: BLE001 - foreign exporter
            detail = repr(error)[:200]
        self._losses.add(_losses.METRIC_EXPORT_FAILED, 0, detail)
        return False

    def _lose(self, data: MetricsData) -> None:
        points = sum(
            len(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        self._losses.add(_losses.METRIC_EXPORT_FAILED, points)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        while self._waiting:
            self._lose(self._waiting.popleft())
        self._exporter.shutdown(timeout_millis, **kwargs)


def meter_provider(resource: Resource, readers: Sequence[MetricReader]) -> MeterProvider:
    """Return a provider without its own exit handler; exemplars are off unless asked for."""
    exemplars = None if OTEL_METRICS_EXEMPLAR_FILTER in os.environ else AlwaysOffExemplarFilter()
    return MeterProvider(
        metric_readers=readers,
        resource=resource,
        exemplar_filter=exemplars,
        shutdown_on_exit=False,
        views=[
            View(
                instrument_name=name,
                aggregation=ExplicitBucketHistogramAggregation(boundaries=_SECONDS),
            )
            for name, metric in semconv.METRICS.items()
            if metric.instrument == "histogram"
        ],
    )


def reader_for(exporter: MetricExporter, losses: Losses) -> MetricReader:
    """Return the background reader that sends to ``exporter`` (OTEL_METRIC_EXPORT_INTERVAL)."""
    return PeriodicExportingMetricReader(KeepingExporter(exporter, losses))


class Instruments:
    """All instruments, and the measurements that wait to be recorded into them."""

    def __init__(
        self,
        provider: MeterProvider,
        losses: Losses,
        queue_depth: Callable[[], int],
        vitals: Vitals | None,
    ) -> None:
        meter = provider.get_meter("comfyui_telemetry", __version__)
        self._losses = losses
        self._pending: deque[tuple[str, float, Mapping[str, str]]] = deque(maxlen=_PENDING)
        self._record: dict[str, Callable[[float, Mapping[str, str]], None]] = {}
        for name, metric in semconv.METRICS.items():
            if metric.instrument == "histogram":
                histogram = meter.create_histogram(name, metric.unit, metric.brief)
                self._record[name] = histogram.record
        for name in (
            semconv.METRIC_PROMPTS,
            semconv.METRIC_CACHE_HITS,
            semconv.METRIC_MODEL_LOADS,
        ):
            metric = semconv.METRICS[name]
            self._record[name] = meter.create_counter(name, metric.unit, metric.brief).add

        def observe_depth(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(queue_depth())

        def observe_losses(_: CallbackOptions) -> Iterable[Observation]:
            for reason, total in losses.totals().items():
                yield Observation(total, {semconv.TELEMETRY_REASON: reason})

        gauges = {semconv.METRIC_QUEUE_DEPTH: observe_depth}
        if vitals is not None:
            gauges |= _vital_gauges(vitals)
        for name, observe in gauges.items():
            metric = semconv.METRICS[name]
            meter.create_observable_gauge(name, [observe], metric.unit, metric.brief)
        dropped = semconv.METRICS[semconv.METRIC_TELEMETRY_DROPPED]
        meter.create_observable_counter(dropped.name, [observe_losses], dropped.unit, dropped.brief)

    def note(self, metric: str, value: float, attributes: Mapping[str, str]) -> None:
        """Note a measurement of a histogram or counter; cheap, for the worker thread."""
        self._pending.append((metric, value, attributes))

    def record_pending(self) -> None:
        """Record what was noted; for the watch thread, and before a flush."""
        while self._pending:
            try:
                name, value, attributes = self._pending.popleft()
            except IndexError:
                # Another thread flushes at the same time.
                return
            self._record[name](value, attributes)

    def after_fork(self) -> None:
        """Leave the parent's measurements to the parent."""
        self._pending.clear()


_Observe = Callable[[CallbackOptions], Iterable[Observation]]


def _vital_gauges(vitals: Vitals) -> dict[str, _Observe]:
    """Return what observes the process's memory and its GPUs, by metric."""

    def one(read: Callable[[], float | None]) -> _Observe:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            value = read()
            return () if value is None else (Observation(value),)

        return observe

    def each_gpu(
        read: Callable[[GpuReading], float | None], extra: Mapping[str, str] | None = None
    ) -> _Observe:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for gpu in vitals.gpus():
                if (value := read(gpu)) is not None:
                    labels = {semconv.HW_ID: gpu.id, semconv.HW_NAME: gpu.name, **(extra or {})}
                    yield Observation(value, labels)

        return observe

    general = {semconv.HW_GPU_TASK: "general"}
    return {
        semconv.METRIC_PROCESS_MEMORY: one(resident_bytes),
        semconv.METRIC_PROCESS_MEMORY_SLOPE: one(vitals.memory_slope),
        semconv.METRIC_GPU_MEMORY_LIMIT: each_gpu(lambda gpu: gpu.memory_total),
        semconv.METRIC_GPU_MEMORY_USAGE: each_gpu(lambda gpu: gpu.memory_used),
        semconv.METRIC_GPU_MEMORY_UTILIZATION: each_gpu(lambda gpu: gpu.memory_utilization),
        semconv.METRIC_GPU_UTILIZATION: each_gpu(lambda gpu: gpu.utilization, general),
    }
