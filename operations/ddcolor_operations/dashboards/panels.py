"""Panels of a dashboard as Kibana keeps them: Lens charts, Markdown, saved searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .columns import Layer, can_rank
from .fields import Fields
from .model import Area, ChartPanel, DataView, Panel, Search, SearchPanel, Value
from .names import PANEL_VERSION, layer_reference, stable_id

_SERIES = {
    "bars": "bar",
    "bars_stacked": "bar_stacked",
    "bars_horizontal": "bar_horizontal",
    "bars_horizontal_stacked": "bar_horizontal_stacked",
    "lines": "line",
    "area_stacked": "area_stacked",
}

Reference = dict[str, str]


class PanelBuilder:
    """Builds the panels of one dashboard, and the references they need."""

    def __init__(
        self,
        dashboard: str,
        views: Mapping[str, DataView],
        searches: Mapping[str, Search],
        fields: Mapping[str, Fields],
        navigation: str,
    ) -> None:
        """``fields`` are those of each data view by its name, ``navigation`` is Markdown."""
        self._dashboard = dashboard
        self._views = views
        self._searches = searches
        self._fields = fields
        self._navigation = navigation
        self.references: list[Reference] = []

    def build(self, panel: Panel) -> dict[str, Any]:
        """Return the panel; its references are added to :attr:`references`."""
        panel_id = stable_id(self._dashboard, panel.title)
        common: dict[str, Any] = {
            "version": PANEL_VERSION,
            "gridData": _grid(panel.area, panel_id),
            "panelIndex": panel_id,
            "title": panel.title,
        }
        if isinstance(panel, ChartPanel):
            return {"type": "lens", **common, "embeddableConfig": self._chart(panel, panel_id)}
        if isinstance(panel, SearchPanel):
            name = f"panel_{panel_id}"
            self.references.append(
                {
                    "name": f"{panel_id}:{name}",
                    "type": "search",
                    "id": self._searches[panel.search].id,
                }
            )
            config: dict[str, Any] = {"enhancements": {}}
            return {"type": "search", **common, "embeddableConfig": config, "panelRefName": name}
        text = self._navigation if panel.text is None else panel.text
        config = {"savedVis": _markdown(text), "hidePanelTitles": True, "enhancements": {}}
        return {"type": "visualization", **common, "embeddableConfig": config}

    def _chart(self, panel: ChartPanel, panel_id: str) -> dict[str, Any]:
        layer_id = stable_id(panel_id, "layer")
        view = self._views[panel.view]
        layer = Layer(self._fields[panel.view], f"{self._dashboard}, panel {panel.title}")
        ids = ColumnIds.of(panel, panel_id)
        first = next(
            (
                value_id
                for value_id, value in zip(ids.values, panel.values, strict=True)
                if can_rank(value)
            ),
            None,
        )
        # Series outside, rows inside: the top series are those of the whole time, not of each row.
        if panel.split is not None and ids.split is not None:
            layer.dimension(ids.split, panel.split, first)
        for row_id, row in zip(ids.rows, panel.rows, strict=True):
            layer.dimension(row_id, row, first)
        buckets = len(panel.rows) + (panel.split is not None)
        for value_id, value in zip(ids.values, panel.values, strict=True):
            layer.value(value_id, value, buckets)
        reference = {"type": "index-pattern", "id": view.id, "name": layer_reference(layer_id)}
        self.references.append({**reference, "name": f"{panel_id}:{reference['name']}"})
        kind, visualization = _visualization(panel, layer_id, ids)
        return {
            "attributes": {
                "title": panel.title,
                "description": panel.description,
                "type": "lens",
                "visualizationType": kind,
                "references": [reference],
                "state": {
                    "visualization": visualization,
                    "query": {"query": panel.where, "language": "kuery"},
                    "filters": [],
                    "datasourceStates": {
                        "formBased": {
                            "layers": {
                                layer_id: {
                                    "columns": layer.columns,
                                    "columnOrder": list(layer.columns),
                                    "incompleteColumns": {},
                                    "sampling": 1,
                                }
                            }
                        },
                        "textBased": {"layers": {}},
                    },
                    "internalReferences": [],
                    "adHocDataViews": {},
                },
            },
            "enhancements": {},
        }


@dataclass(frozen=True, slots=True)
class ColumnIds:
    """The ids of a panel's columns, in the order of its rows and values."""

    rows: list[str]
    split: str | None
    values: list[str]

    @classmethod
    def of(cls, panel: ChartPanel, panel_id: str) -> Self:
        """Return the ids of ``panel``, which come from the panel's own."""
        return cls(
            [stable_id(panel_id, "row", str(number)) for number in range(len(panel.rows))],
            stable_id(panel_id, "split") if panel.split is not None else None,
            [stable_id(panel_id, "value", str(number)) for number in range(len(panel.values))],
        )


def _visualization(panel: ChartPanel, layer_id: str, ids: ColumnIds) -> tuple[str, dict[str, Any]]:
    """Return Kibana's name of the chart, and its state."""
    base: dict[str, Any] = {"layerId": layer_id, "layerType": "data"}
    if panel.chart == "metric":
        metric = {**base, "metricAccessor": ids.values[0]}
        if ids.rows:
            metric["breakdownByAccessor"] = ids.rows[0]
        return "lnsMetric", metric
    if panel.chart == "table":
        columns = [{"columnId": name, "isTransposed": False} for name in (*ids.rows, *ids.values)]
        return "lnsDatatable", {**base, "columns": columns, "rowHeight": "single"}
    return "lnsXY", _xy(panel, base, ids)


def _xy(panel: ChartPanel, base: dict[str, Any], ids: ColumnIds) -> dict[str, Any]:
    series = _SERIES[panel.chart]
    layer = {
        **base,
        "accessors": ids.values,
        "position": "top",
        "seriesType": series,
        "showGridlines": False,
        "xAccessor": ids.rows[0],
    }
    if ids.split is not None:
        layer["splitAccessor"] = ids.split
    colors = [_color(name, value) for name, value in zip(ids.values, panel.values, strict=True)]
    if any(colors):
        layer["yConfig"] = [color for color in colors if color]
    several = ids.split is not None or len(ids.values) > 1
    sides = {"x": True, "yLeft": True, "yRight": True}
    return {
        "preferredSeriesType": series,
        "layers": [layer],
        "legend": {"isVisible": several, "position": "bottom"},
        "valueLabels": "hide",
        # Lines over quiet times are drawn through; bars and areas have no value to invent there.
        "fittingFunction": "Linear" if series == "line" else "None",
        "axisTitlesVisibilitySettings": {"x": False, "yLeft": not several, "yRight": True},
        "tickLabelsVisibilitySettings": sides,
        "gridlinesVisibilitySettings": sides,
    }


def _color(column_id: str, value: Value) -> dict[str, str] | None:
    return {"forAccessor": column_id, "color": value.color} if value.color else None


def _grid(area: Area, panel_id: str) -> dict[str, Any]:
    return {"x": area.x, "y": area.y, "w": area.width, "h": area.height, "i": panel_id}


def _markdown(text: str) -> dict[str, Any]:
    return {
        "title": "",
        "description": "",
        "type": "markdown",
        "params": {"fontSize": 12, "openLinksInNewTab": False, "markdown": text},
        "uiState": {},
        "data": {
            "aggs": [],
            "searchSource": {"query": {"query": "", "language": "kuery"}, "filter": []},
        },
    }
