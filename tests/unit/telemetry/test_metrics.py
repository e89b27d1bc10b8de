"""Exports of metrics that fail: kept in order, bounded, counted."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from comfyui_telemetry import _metrics
from comfyui_telemetry._losses import METRIC_EXPORT_FAILED, Losses
from comfyui_telemetry._metrics import KeepingExporter


class _Collector(MetricExporter):
    """Takes what it is given unless it is down or dislikes a value."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.raises = False
        self.dislikes: int | None = None
        self.got: list[int] = []

    def export(self, metrics_data: MetricsData, *_: Any, **__: Any) -> MetricExportResult:
        if self.raises:
            raise ConnectionError("gone")
        value = _value(metrics_data)
        if self.is_down or value == self.dislikes:
            return MetricExportResult.FAILURE
        self.got.append(value)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:  # noqa: ARG002
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:  # noqa: ARG002
        self.is_down = True


def _data(value: int) -> MetricsData:
    gauge = Gauge([NumberDataPoint({}, 0, 0, value)])
    scope = ScopeMetrics(InstrumentationScope("t"), [Metric("m", "", "", gauge)], "")
    return MetricsData([ResourceMetrics(Resource({}), [scope], "")])


def _value(data: MetricsData) -> int:
    value = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
    assert isinstance(value, NumberDataPoint)
    return int(value.value)


@pytest.fixture
def collector() -> _Collector:
    """Return a collector that is there."""
    return _Collector()


def test_what_failed_is_sent_before_the_next(collector: _Collector) -> None:
    """After a collector's restart every interval arrives, in order; nothing was lost."""
    losses = Losses()
    exporter = KeepingExporter(collector, losses)
    collector.is_down = True
    for value in range(3):
        assert exporter.export(_data(value)) is MetricExportResult.FAILURE
    collector.is_down, collector.raises = False, True
    assert exporter.export(_data(3)) is MetricExportResult.FAILURE
    collector.raises = False
    assert exporter.export(_data(4)) is MetricExportResult.SUCCESS
    assert collector.got == [0, 1, 2, 3, 4]
    assert losses.totals() == {METRIC_EXPORT_FAILED: 0}


def test_what_a_collector_will_not_have_holds_up_nothing(collector: _Collector) -> None:
    """It is counted as lost and the others arrive."""
    losses = Losses()
    exporter = KeepingExporter(collector, losses)
    collector.dislikes = 0
    for value in range(4):
        exporter.export(_data(value))
    assert sorted(collector.got) == [1, 2, 3]
    assert losses.totals() == {METRIC_EXPORT_FAILED: 1}


def test_what_waits_is_bounded_and_counted(
    collector: _Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first; what still waits at the end is lost, too."""
    monkeypatch.setattr(_metrics, "_WAITING_EXPORTS", 3)
    losses = Losses()
    exporter = KeepingExporter(collector, losses)
    collector.is_down = True
    for value in range(5):
        exporter.export(_data(value))
    assert losses.totals() == {METRIC_EXPORT_FAILED: 2}
    exporter.shutdown()
    assert losses.totals() == {METRIC_EXPORT_FAILED: 5}


def test_a_forked_child_leaves_what_waits_to_its_parent(
    collector: _Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each measurement of the time without a collector would arrive twice."""
    losses = Losses()
    exporter = KeepingExporter(collector, losses)
    collector.is_down = True
    exporter.export(_data(0))
    monkeypatch.setattr("os.getpid", lambda: -1)
    collector.is_down = False
    exporter.export(_data(1))
    assert collector.got == [1]
    assert losses.totals() == {METRIC_EXPORT_FAILED: 0}


def test_catching_up_ends_with_the_time_given(collector: _Collector) -> None:
    """What is left is for the next interval."""
    exporter = KeepingExporter(collector, Losses())
    collector.is_down = True
    for value in range(3):
        exporter.export(_data(value))
    collector.is_down = False
    exporter.export(_data(3), timeout_millis=0)
    assert collector.got == []
    exporter.export(_data(4))
    assert collector.got == [0, 1, 2, 3, 4]
