"""Charts of dashboard panels, as plotly.js draws them.

A colour is the name of a variable of the page's style (``--good``), which follows the light or dark
scheme of the reader. Texts that come from data are escaped: plotly.js reads ``<a>`` in them.
"""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from ddcolor_operations.dashboards.model import ChartPanel, Dimension, Unit, Value
from ddcolor_operations.dashboards.panels import ColumnIds
from ddcolor_operations.dashboards.request import Row

from .units import clock

Figure = dict[str, Any]
Say = Callable[[str], str]

_PALETTE = tuple(f"--c{number}" for number in range(1, 11))
# What has a meaning has its colour everywhere.
_TONES: Mapping[str, str] = {
    **dict.fromkeys(("success", "executed", "delivered", "accepted", "resolved"), "--good"),
    **dict.fromkeys(("failed", "error", "critical", "fatal", "dead"), "--bad"),
    **dict.fromkeys(("interrupted", "warning", "warn", "retry", "held_back", "rejected"), "--l2"),
    **dict.fromkeys(("cached", "skipped", "removed", "debug", "quiet"), "--track"),
    "info": "--accent",
    **{channel: f"--{channel}" for channel in ("wecom", "dingtalk", "sms", "mail")},
}
_LEVEL_TONES = {1: "--l1", 2: "--l2", 3: "--l3"}
# d3-format of ticks, of the pointer's text, and what follows both.
_FORMATS: Mapping[Unit, tuple[str, str, str]] = {
    "": (",.3~r", ",.3~r", ""),
    "s": (",.3~r", ",.3~r", " s"),
    "ms": (",.3~r", ",.3~r", " ms"),
    "bytes": ("~s", ".3~s", "B"),
    "percent": (".0%", ".1%", ""),
    "whole": (",.3~r", ",.0f", ""),
}
_TIME_TICKS = [
    {"dtickrange": [None, 1_000], "value": "%H:%M:%S.%L"},
    {"dtickrange": [1_000, 60_000], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, 86_400_000], "value": "%H:%M"},
    {"dtickrange": [86_400_000, None], "value": "%m-%d"},
]
_TRANSPARENT = "#00000000"
# The colours that sources name for Kibana, as the page has them.
_COLORS = {"#6092C0": "--accent", "#D36086": "--bad"}
# Bars stay slim where there are few of them.
_GAP, _GAP_OF_FEW, _FEW_BARS = 0.25, 0.65, 3
_LONGEST_TICK = 34
_FEW = 60


class Tones:
    """The colours of series: the same name of the same field has the same one in every chart."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = defaultdict(list)

    def of(self, field: str, name: str) -> str:
        """Return the colour of a series: that of its meaning, or the next of the palette."""
        if field.endswith(".level") and name.isdecimal() and int(name) in _LEVEL_TONES:
            return _LEVEL_TONES[int(name)]
        if (meant := tone_of(name)) is not None:
            return meant
        names = self._known[field]
        if name not in names:
            names.append(name)
        return _PALETTE[names.index(name) % len(_PALETTE)]


def chart(
    panel: ChartPanel,
    ids: ColumnIds,
    rows: Sequence[Row],
    say: Say,
    zone: tzinfo | None,
    tones: Tones,
) -> Figure:
    """Return the figure of an XY panel with data; ``say`` translates the labels of the source."""
    dimension = panel.rows[0]
    horizontal = panel.chart.startswith("bars_horizontal")
    series = _series(panel, ids, rows, say)
    units = [value.unit for value in panel.values]
    other = next((unit for unit in units if unit != units[0]), None)
    traces = []
    for number, (name, value, points) in enumerate(series):
        tone = _tone(panel, name, value, number, tones)
        along = [_position(key, dimension, zone) for key, _ in points]
        across = [number for _, number in points]
        trace = _trace(panel, along, across, tone)
        trace |= {"name": plain(name), "showlegend": len(series) > 1 and tone != _TRANSPARENT}
        if tone == _TRANSPARENT:
            trace["hoverinfo"] = "skip"
        if value.unit != units[0] and not horizontal:
            trace["yaxis"] = "y2"
        traces.append(trace)
    values_axis = _value_axis(units[0])
    keys_axis = _time_axis() if dimension.is_time else _category_axis(panel, ids, rows, horizontal)
    layout: Figure = {
        "barmode": "stack" if panel.chart.endswith("stacked") else "group",
        "hovermode": "x unified" if dimension.is_time else "closest",
        "xaxis": values_axis if horizontal else keys_axis,
        "yaxis": keys_axis if horizontal else values_axis,
    }
    if not dimension.is_time:
        few = len({row[ids.rows[0]] for row in rows}) <= _FEW_BARS
        layout["bargap"] = _GAP_OF_FEW if few else _GAP
    if other is not None:
        layout["yaxis2"] = {**_value_axis(other), "overlaying": "y", "side": "right"}
        # Round numbers of its own, not what stands at the ticks of the other axis.
        layout["yaxis2"] |= {"showgrid": False, "tickmode": "auto"}
    return {"data": traces, "layout": layout}


def tone_of(name: str) -> str | None:
    """Return the colour of an outcome, status or severity; None if the name has none."""
    return _TONES.get(name)


def bars_of(panel: ChartPanel, ids: ColumnIds, rows: Sequence[Row]) -> int:
    """Return how many bars lie one below the other; 0 for a panel whose bars stand or has none."""
    if not panel.chart.startswith("bars_horizontal"):
        return 0
    return len({row[ids.rows[0]] for row in rows})


def _series(
    panel: ChartPanel, ids: ColumnIds, rows: Sequence[Row], say: Say
) -> list[tuple[str, Value, list[tuple[Any, Any]]]]:
    """Return each series' name, value and points (key of the row, number)."""
    key = ids.rows[0]
    if ids.split is None:
        return [
            (say(value.label), value, [(row[key], row[column]) for row in rows])
            for column, value in zip(ids.values, panel.values, strict=True)
        ]
    groups: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for row in rows:
        groups[str(row[ids.split])].append((row[key], row[ids.values[0]]))
    return [
        (name, panel.values[0], points)
        for name, points in groups.items()
        if any(number is not None for _, number in points)
    ]


def _trace(panel: ChartPanel, along: list[str], across: list[Any], tone: str) -> Figure:
    if panel.chart.startswith("bars"):
        horizontal = panel.chart.startswith("bars_horizontal")
        keys, numbers = ("y", "x") if horizontal else ("x", "y")
        bars: Figure = {"type": "bar", keys: along, numbers: across, "marker": {"color": tone}}
        return bars | ({"orientation": "h"} if horizontal else {})
    few = sum(number is not None for number in across) <= _FEW
    trace: Figure = {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "x": along,
        "y": across,
        # Lines over quiet times are drawn through, as in Kibana.
        "connectgaps": True,
        "line": {"color": tone, "width": 2},
        "marker": {"color": tone, "size": 5},
    }
    return trace | ({"stackgroup": "all"} if panel.chart == "area_stacked" else {})


def _tone(panel: ChartPanel, name: str, value: Value, number: int, tones: Tones) -> str:
    if value.color:
        return _COLORS.get(value.color, value.color)
    if panel.split is not None:
        return tones.of(panel.split.field, name)
    return _PALETTE[number % len(_PALETTE)]


def _position(key: Any, dimension: Dimension, zone: tzinfo | None) -> str:
    # plotly.js shows times as they are written, without a zone.
    return clock(datetime.fromisoformat(key), zone) if dimension.is_time else plain(key)


def _value_axis(unit: Unit) -> Figure:
    ticks, pointer, suffix = _FORMATS[unit]
    return {
        "tickformat": ticks,
        "hoverformat": pointer,
        "ticksuffix": suffix,
        "rangemode": "tozero",
        "automargin": True,
    }


def _time_axis() -> Figure:
    return {
        "type": "date",
        "tickformatstops": _TIME_TICKS,
        "hoverformat": "%Y-%m-%d %H:%M:%S",
        "showgrid": False,
        "automargin": True,
    }


def _category_axis(
    panel: ChartPanel, ids: ColumnIds, rows: Sequence[Row], horizontal: bool
) -> Figure:
    keys = list(dict.fromkeys(str(row[ids.rows[0]]) for row in rows))
    if ids.split is not None and panel.rows[0].order is None:
        # Each series brings its own ranking of the rows; together they are ranked by their sum.
        sums: dict[str, float] = defaultdict(float)
        for row in rows:
            sums[str(row[ids.rows[0]])] += row[ids.values[0]] or 0
        keys.sort(key=lambda key: -sums[key])
    if panel.rows[0].order is not None and panel.rows[0].order.by == "alphabet":
        keys.sort(key=lambda key: (float(key), "") if key.isdecimal() else (float("inf"), key))
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [plain(key) for key in keys],
        "tickmode": "array",
        "tickvals": [plain(key) for key in keys],
        "ticktext": [plain(_shortened(key)) for key in keys],
        "showgrid": False,
        "automargin": True,
        # The first row is the uppermost.
        **({"autorange": "reversed"} if horizontal else {}),
    }


def plain(value: Any) -> str:
    """Return a text that plotly.js shows as it is."""
    return html.escape(str(value), quote=False)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TICK else f"{text[: _LONGEST_TICK - 1]}…"
