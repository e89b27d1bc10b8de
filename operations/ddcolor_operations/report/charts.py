"""The charts of a run's report, as plotly.js draws them; colours are variables of the page's style.

Legends are the page's own, in both of its languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .facts import Delivery, Fault
from .figures import Figure, plain, tone_of
from .spans import Row, total_s
from .units import seconds

_LANE = 0.14
_ROOM_FOR_WORDS = 1.2


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


def trace_chart(rows: Sequence[Row]) -> Figure:
    """Draw a trace as a waterfall: a bar for each span beside its name, children indented."""
    # The line in the bar's own colour keeps one of no length visible.
    tones = ["--bad" if row.failed else tone_of(row.outcome or "") or "--request" for row in rows]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": list(range(len(rows))),
        "base": [row.offset_s for row in rows],
        "x": [row.span.duration_s for row in rows],
        "marker": {"color": tones, "line": {"color": tones, "width": 2}},
        "text": [plain(_detail(row)) for row in rows],
        # A bar of no length has no words unless they are told to be outside.
        "textposition": ["auto" if row.span.duration_s else "outside" for row in rows],
        "cliponaxis": False,
        "hovertext": [
            f"{plain(row.span.name)}: +{seconds(row.offset_s)}<br>{plain(_detail(row))}"
            for row in rows
        ],
        "hoverinfo": "text",
    }
    # A non-breaking space is not folded away as a plain one would be.
    names = ["\u00a0\u00a0" * row.depth + plain(row.span.name) for row in rows]
    figure = _figure([bars], _lanes(names), _seconds_axis())
    figure["layout"]["bargap"] = 0.45
    # Room for the words behind a short bar at the end.
    figure["layout"]["xaxis"]["range"] = [0, max(total_s(rows), 0.001) * _ROOM_FOR_WORDS]
    return figure


def latency_chart(faults: Sequence[Fault]) -> Figure:
    """Draw, for each alert, when Elasticsearch, the notifier and each channel had it.

    The line runs from the fault (0 s) to the last message; ticks on it are the two stations
    before the channels, dots the channels, each in a lane of its own since they are close in time.
    """
    alerts: dict[str, list[Delivery]] = {}
    for fault in faults:
        for alert in fault.alerts:
            alerts.setdefault(alert.alert_id, []).append(alert)
    traces = []
    for number, own in enumerate(alerts.values()):
        first, last = own[0], max(alert.seconds for alert in own)
        traces.append(_line([0, last], [number, number], "--track", 3))
        for tone, moment in (("--faint", first.indexed_s), ("--ink", first.accepted_s)):
            if moment is not None:
                stretch = [number - 0.2, number + 0.2]
                traces.append(_line([moment, moment], stretch, tone, 2))
        lanes = [number + (lane - (len(own) - 1) / 2) * _LANE for lane in range(len(own))]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [alert.seconds for alert in own],
                "y": lanes,
                "marker": {"color": [f"--{alert.channel}" for alert in own], "size": 9},
                "hovertext": [f"{alert.channel}: {seconds(alert.seconds)}" for alert in own],
                "hoverinfo": "text",
            }
        )
    names = [f"{plain(own[0].kind)} · L{own[0].level}" for own in alerts.values()]
    return _figure(traces, _lanes(names), _seconds_axis())


def durations_chart(classes: Sequence[Durations]) -> Figure:
    """Draw each node class's range (line), p50 to p95 (bar) and p50 (dot) on a logarithmic axis."""
    traces = []
    for number, item in enumerate(classes):
        at = [number, number]
        traces.append(_line([item.low, item.high], at, "--track", 3))
        traces.append(_line([item.p50, item.p95], at, "--between", 8))
    facts = [f"p50 {seconds(item.p50)}<br>p95 {seconds(item.p95)}" for item in classes]
    extremes = [f"{seconds(item.low)} – {seconds(item.high)}" for item in classes]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [item.p50 for item in classes],
            "y": list(range(len(classes))),
            "marker": {"color": "--accent", "size": 11},
            "hovertext": [
                f"{plain(item.class_type)}<br>{fact}<br>{extreme}"
                for item, fact, extreme in zip(classes, facts, extremes, strict=True)
            ],
            "hoverinfo": "text",
        }
    )
    names = [f"{plain(item.class_type)} × {item.count}" for item in classes]
    # Few ticks: plotly.js crowds those of a logarithmic axis.
    across = {**_seconds_axis(), "type": "log", "rangemode": "normal", "nticks": 6}
    return _figure(traces, _lanes(names), across)


def outcomes_chart(buckets: Sequence[Bucket]) -> Figure:
    """Draw prompts by outcome as stacked columns over time, one column for each bucket."""
    outcomes = dict.fromkeys(outcome for bucket in buckets for outcome in bucket.counts)
    traces = [
        {
            "type": "bar",
            "name": plain(outcome),
            "x": [bucket.start.strftime("%Y-%m-%d %H:%M:%S") for bucket in buckets],
            "y": [bucket.counts.get(outcome, 0) for bucket in buckets],
            "marker": {"color": tone_of(outcome) or "--c1"},
        }
        for outcome in outcomes
    ]
    across = {"type": "date", "tickformat": "%H:%M:%S", "showgrid": False, "automargin": True}
    figure = _figure(traces, {"rangemode": "tozero", "automargin": True}, across)
    figure["layout"] |= {"barmode": "stack", "hovermode": "x unified"}
    return figure


def _detail(row: Row) -> str:
    took = None if row.took_s is None else seconds(row.took_s)
    return " · ".join(filter(None, (row.error_kind or row.outcome, took)))


def _figure(traces: list[dict[str, Any]], up: Figure, across: Figure) -> Figure:
    layout = {"showlegend": False, "hovermode": "closest", "xaxis": across, "yaxis": up}
    return {"data": traces, "layout": layout}


def _line(across: Sequence[float], up: Sequence[float], tone: str, width: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(across),
        "y": list(up),
        "line": {"color": tone, "width": width},
        "hoverinfo": "skip",
    }


def _lanes(names: Sequence[str]) -> Figure:
    """Return an axis with a lane for each name, the first at the top."""
    return {
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "range": [len(names) - 0.4, -0.6],
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
    }


def _seconds_axis() -> Figure:
    return {"ticksuffix": " s", "tickformat": "~g", "rangemode": "tozero", "automargin": True}
