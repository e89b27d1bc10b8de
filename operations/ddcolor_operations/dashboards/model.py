"""What a dashboard's source says, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Chart = Literal[
    "metric",
    "table",
    "bars",
    "bars_stacked",
    "bars_horizontal",
    "bars_horizontal_stacked",
    "lines",
    "area_stacked",
]
Aggregation = Literal[
    "count", "min", "max", "average", "sum", "median", "unique", "percentile", "formula"
]
Unit = Literal["", "s", "ms", "bytes", "percent", "whole"]
OrderBy = Literal["min", "max", "alphabet"]
Per = Literal["", "s", "m", "h", "d"]


class SourceError(Exception):
    """A source says something that cannot be built; the message tells where and why."""


@dataclass(frozen=True, slots=True)
class RuntimeField:
    """A field that Elasticsearch computes on reading: its type and Painless script."""

    type: str
    script: str


@dataclass(frozen=True, slots=True)
class DataView:
    """A Kibana data view.

    ``links`` maps a field to the dashboard that its values link to. ``foreign`` has the
    Elasticsearch types of fields that collectors write by themselves, which no convention here
    declares.
    """

    id: str
    pattern: str
    title: str
    runtime: Mapping[str, RuntimeField]
    links: Mapping[str, str]
    foreign: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """A saved search: documents as a table, newest first unless ``oldest_first``.

    ``optional`` is as that of a panel.
    """

    id: str
    title: str
    view: str
    where: str
    columns: tuple[str, ...]
    oldest_first: bool
    optional: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """How terms are ranked: by the least or the largest value of a field, or by the alphabet."""

    by: OrderBy
    field: str = ""
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Dimension:
    """What rows or series are made of: time, or the top ``size`` values of ``field``.

    Without ``order`` the top values are those with the largest first plain value.
    """

    field: str
    label: str
    is_time: bool = False
    size: int = 10
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a row. ``where`` restricts its documents, ``per`` scales it to a time unit.

    An ``optional`` one may be missing in every row where all is well: nothing has been given up.
    """

    of: Aggregation
    label: str
    field: str = ""
    percentile: int = 0
    formula: str = ""
    where: str = ""
    per: Per = ""
    unit: Unit = ""
    color: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Area:
    """A place on the grid of 48 columns."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ChartPanel:
    """A Lens panel.

    ``optional`` says why it may have no data where all is well, as on a machine without a GPU;
    empty: it has to have some.
    """

    title: str
    area: Area
    chart: Chart
    view: str
    where: str
    rows: tuple[Dimension, ...]
    split: Dimension | None
    values: tuple[Value, ...]
    description: str = ""
    optional: str = ""


@dataclass(frozen=True, slots=True)
class TextPanel:
    """Markdown; without ``text`` the links to all dashboards."""

    title: str
    area: Area
    text: str | None


@dataclass(frozen=True, slots=True)
class SearchPanel:
    """A saved search as a panel."""

    title: str
    area: Area
    search: str


Panel = ChartPanel | TextPanel | SearchPanel


@dataclass(frozen=True, slots=True)
class Control:
    """A list at the top of a dashboard that filters by the values of a field."""

    view: str
    field: str
    title: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; ``name`` is the stem of its file, ``time_from`` its time range up to now."""

    name: str
    title: str
    description: str
    time_from: str
    controls: tuple[Control, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """All sources. Dashboards are in the order of their links."""

    views: Mapping[str, DataView]
    searches: Mapping[str, Search]
    dashboards: tuple[Dashboard, ...]
