"""The report's charts. Each takes measured values and returns one ``<svg>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from .facts import Delivery, Fault
from .scales import Scale, linear, logarithmic, seconds, tick_label
from .spans import Row, total_s
from .svg import Svg, percent

_AXIS_HEIGHT = 22.0
_ROW_HEIGHT = 38.0
_ALERT_HEIGHT = 58.0
_LANE_HEIGHT = 8.0
_GUTTER = 0.06
_INDENT = 14


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the nodes of one class took; seconds. ``p50`` and ``p95`` are Elasticsearch's."""

    class_type: str
    count: int
    low: float
    p50: float
    p95: float
    high: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many prompts ended in one span of time, by outcome."""

    start: datetime
    counts: Mapping[str, int]


def trace_chart(rows: Sequence[Row], label: str) -> Markup:
    """Draw a trace as a waterfall: a bar for each span under its name, children indented."""
    scale = linear(total_s(rows))
    svg = Svg(_AXIS_HEIGHT + len(rows) * _ROW_HEIGHT, label)
    _axis(svg, scale, len(rows) * _ROW_HEIGHT)
    for index, row in enumerate(rows):
        top = _AXIS_HEIGHT + index * _ROW_HEIGHT
        span = row.span
        tone = _tone(row)
        svg.text(f"{row.depth * _INDENT}", top + 14, span.name, "label")
        took = None if row.took_s is None else seconds(row.took_s)
        detail = " · ".join(filter(None, (row.error_kind or row.outcome, took)))
        svg.text("100%", top + 14, detail, f"value {tone}", anchor="end")
        start, end = scale.at(row.offset_s), scale.at(row.offset_s + span.duration_s)
        title = f"{span.name}: +{seconds(row.offset_s)}, {seconds(span.duration_s)}"
        svg.bar(start, top + 20, end - start, 9, f"bar {tone}", title)
    return svg.render()


def latency_chart(faults: Sequence[Fault], label: str) -> Markup:
    """Draw, for each alert, when Elasticsearch, the notifier and each channel had it.

    The line runs from the fault (0 s) to the last message; ticks on it are the two stations
    before the channels, dots the channels, each in a lane of its own since they are close in time.
    """
    alerts: dict[str, list[Delivery]] = {}
    for fault in faults:
        for alert in fault.alerts:
            alerts.setdefault(alert.alert_id, []).append(alert)
    scale = linear(max((max(_seconds_of(own)) for own in alerts.values()), default=1.0))
    svg = Svg(_AXIS_HEIGHT + len(alerts) * _ALERT_HEIGHT, label)
    _axis(svg, scale, len(alerts) * _ALERT_HEIGHT)
    for index, own in enumerate(alerts.values()):
        first, last = own[0], max(_seconds_of(own))
        top = _AXIS_HEIGHT + index * _ALERT_HEIGHT
        lanes = len(own) * _LANE_HEIGHT
        middle = top + 19 + lanes / 2
        svg.text("0", top + 13, f"{first.kind} · L{first.level}", "label")
        svg.text("100%", top + 13, seconds(last), "value", anchor="end")
        svg.line("0", middle, percent(scale.at(last)), middle, "track")
        for name, moment in (("indexed", first.indexed_s), ("accepted", first.accepted_s)):
            if moment is not None:
                at = percent(scale.at(moment))
                svg.line(at, middle - 7, at, middle + 7, f"hop {name}")
        for lane, alert in enumerate(own):
            y = top + 19 + (lane + 0.5) * _LANE_HEIGHT
            title = f"{alert.channel}: {seconds(alert.seconds)}"
            svg.dot(scale.at(alert.seconds), y, 4, f"dot {alert.channel}", title)
    return svg.render()


def durations_chart(classes: Sequence[Durations], label: str) -> Markup:
    """Draw each node class's range (line), p50 to p95 (bar) and p50 (dot) on a logarithmic axis."""
    scale = logarithmic([value for item in classes for value in (item.low, item.high)])
    svg = Svg(_AXIS_HEIGHT + len(classes) * _ROW_HEIGHT, label)
    _axis(svg, scale, len(classes) * _ROW_HEIGHT)
    for index, item in enumerate(classes):
        middle = _AXIS_HEIGHT + index * _ROW_HEIGHT + 26
        svg.text("0", middle - 12, f"{item.class_type} × {item.count}", "label")
        value = f"p50 {seconds(item.p50)} · p95 {seconds(item.p95)}"
        svg.text("100%", middle - 12, value, "value", anchor="end")
        low, high = scale.at(item.low), scale.at(item.high)
        svg.line(percent(low), middle, percent(high), middle, "track")
        start, end = scale.at(item.p50), scale.at(item.p95)
        svg.bar(start, middle - 4, end - start, 8, "bar range")
        title = f"{item.class_type}: {seconds(item.low)} – {seconds(item.high)}"
        svg.dot(start, middle, 5, "dot p50", title)
    return svg.render()


def outcomes_chart(buckets: Sequence[Bucket], label: str) -> Markup:
    """Draw prompts by outcome as stacked columns over time, one column for each bucket."""
    height, head = 120.0, 16.0
    most = max((sum(bucket.counts.values()) for bucket in buckets), default=0)
    scale = linear(max(most, 1), wanted=max(min(most, 4), 1))
    svg = Svg(head + height + _AXIS_HEIGHT, label)
    for tick in scale.ticks:
        y = head + height * (1 - scale.at(tick))
        svg.line("0", y, "100%", y, "grid")
        svg.text("0", y - 3, f"{tick:g}", "tick")
    slot = (1 - _GUTTER) / max(len(buckets), 1)
    for index, bucket in enumerate(buckets):
        left = _GUTTER + index * slot
        top = head + height
        for outcome, count in bucket.counts.items():
            if count:
                tall = height * scale.at(count)
                top -= tall
                title = f"{_clock(bucket.start)} {outcome}: {count}"
                svg.bar(left, top, slot * 0.82, tall, f"bar {outcome}", title)
    for index in sorted({0, len(buckets) // 2, len(buckets) - 1} if buckets else set()):
        x = _GUTTER + (index + 0.41) * slot
        anchor = "end" if index and index == len(buckets) - 1 else "middle" if index else "start"
        svg.text(percent(x), head + height + 16, _clock(buckets[index].start), "tick", anchor)
    return svg.render()


def _seconds_of(deliveries: Sequence[Delivery]) -> list[float]:
    return [delivery.seconds for delivery in deliveries]


def _axis(svg: Svg, scale: Scale, height: float) -> None:
    for index, tick in enumerate(scale.ticks):
        at = percent(scale.at(tick))
        last = index == len(scale.ticks) - 1
        anchor = "end" if last else "middle" if index else "start"
        svg.text(at, 12, tick_label(tick), "tick", anchor)
        svg.line(at, _AXIS_HEIGHT - 4, at, _AXIS_HEIGHT + height, "grid")


def _tone(row: Row) -> str:
    return "failed" if row.failed else row.outcome or "request"


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S")
