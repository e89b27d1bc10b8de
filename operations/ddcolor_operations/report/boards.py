"""Dashboards with the answers of an Elasticsearch in them, ready to be written as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from ddcolor_operations.dashboards import lens
from ddcolor_operations.dashboards.model import (
    Area,
    ChartPanel,
    Dashboard,
    DataView,
    Panel,
    SearchPanel,
    Sources,
    TextPanel,
    Value,
)
from ddcolor_operations.dashboards.names import TIME_FIELD, dashboard_id, stable_id
from ddcolor_operations.dashboards.panels import ColumnIds
from ddcolor_operations.dashboards.request import Row
from ddcolor_operations.dashboards.run import Runner, Table

from .figures import Figure, Say, Tones, bars_of, chart
from .units import NOTHING, clock, written


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a table: its text, what it is sorted by, and the trace that it leads to."""

    text: str
    sort: float | str
    number: bool = False
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A panel with its answer: one of a figure, a table, and metrics (label, text).

    ``refused`` and ``blank`` (with ``excuse``: why that is no fault) tell why there is none.
    ``bars`` is how many bars lie one below the other, each of which needs its height.
    """

    title: str
    description: str
    area: Area
    figure: Figure | None = None
    bars: int = 0
    heads: Sequence[Cell] = ()
    rows: Sequence[Sequence[Cell]] = ()
    metrics: Sequence[tuple[str, str]] = ()
    blank: bool = False
    excuse: str = ""
    refused: str = ""
    log: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard with its blocks; ``trace_id`` is the trace it is filtered by, if it is."""

    name: str
    title: str
    description: str
    blocks: Sequence[Block]
    trace_id: str = ""

    @property
    def top(self) -> int:
        """The row of the grid at which the first block begins: above it were the links."""
        return min((block.area.y for block in self.blocks), default=0)

    def traces(self, most: int) -> Iterator[str]:
        """Yield the first ``most`` traces that each of the tables leads to."""
        for block in self.blocks:
            found = (cell.trace_id for row in block.rows for cell in row if cell.trace_id)
            yield from list(dict.fromkeys(found))[:most]


@dataclass(slots=True)
class Boards:
    """Makes boards out of sources and what :meth:`Runner.panel` answers for the built objects.

    ``say`` translates a text of the sources; times are shown in ``zone`` (None: this machine's).
    """

    sources: Sources
    objects: Sequence[Mapping[str, Any]]
    say: Say
    zone: tzinfo | None = None
    _by_id: dict[str, Mapping[str, Any]] = field(init=False)
    _tones: Tones = field(init=False, default_factory=Tones)

    def __post_init__(self) -> None:
        self._by_id = {item["id"]: item for item in self.objects}

    def board(self, dashboard: Dashboard, runner: Runner, trace_id: str = "") -> Board:
        """Ask for each panel of ``dashboard``, of one trace if ``trace_id`` is given."""
        also = f'trace_id: "{trace_id}"' if trace_id else ""
        built = {
            panel.panel_id: panel
            for panel in lens.lens_panels(self._by_id[dashboard_id(dashboard.name)])
        }
        blocks = [
            block
            for panel in dashboard.panels
            if (block := self._block(dashboard, panel, built, runner, also)) is not None
        ]
        return Board(
            name=dashboard.name,
            title=self.say(dashboard.title),
            description=self.say(dashboard.description),
            blocks=blocks,
            trace_id=trace_id,
        )

    def _block(
        self,
        dashboard: Dashboard,
        panel: Panel,
        built: Mapping[str, lens.LensPanel],
        runner: Runner,
        also: str,
    ) -> Block | None:
        if isinstance(panel, TextPanel):
            return None  # links between dashboards, which the page has at its top
        if isinstance(panel, SearchPanel):
            search = self.sources.searches[panel.search]
            table = runner.search(lens.search(self._by_id[search.id]), also)
            return self._log(panel, table, self.sources.views[search.view], search.optional)
        panel_id = stable_id(dashboard.name, panel.title)
        return self._filled(panel, panel_id, runner.panel(built[panel_id], also))

    def _filled(self, panel: ChartPanel, panel_id: str, table: Table) -> Block:
        ids = ColumnIds.of(panel, panel_id)
        block = self._frame(panel, table, panel.optional, self.say(panel.description))
        if table.refused or (table.blank and panel.chart != "metric"):
            return block
        if panel.chart == "metric":
            metrics = self._metrics(panel, ids, table.rows)
            return replace(block, metrics=metrics, blank=not metrics)
        if panel.chart == "table":
            view = self.sources.views[panel.view]
            heads, rows = self._table(panel, ids, table.rows, view)
            return replace(block, heads=heads, rows=rows)
        figure = chart(panel, ids, table.rows, self.say, self.zone, self._tones)
        return replace(block, figure=figure, bars=bars_of(panel, ids, table.rows))

    def _frame(self, panel: Panel, table: Table, optional: str, description: str) -> Block:
        return Block(
            title=self.say(panel.title),
            description=description,
            area=panel.area,
            blank=table.blank,
            excuse=self.say(optional) if optional else "",
            refused=table.refused,
        )

    def _metrics(
        self, panel: ChartPanel, ids: ColumnIds, rows: Sequence[Row]
    ) -> list[tuple[str, str]]:
        (value,) = panel.values
        return [
            (
                f"{self.say(panel.rows[0].label)} {row[ids.rows[0]]}" if ids.rows else "",
                self._text(row[ids.values[0]], value),
            )
            for row in rows
        ]

    def _table(
        self, panel: ChartPanel, ids: ColumnIds, rows: Sequence[Row], view: DataView
    ) -> tuple[list[Cell], list[list[Cell]]]:
        heads = [
            *(Cell(self.say(dimension.label), "") for dimension in panel.rows),
            *(Cell(self.say(value.label), "", number=True) for value in panel.values),
        ]
        body = []
        for row in rows:
            cells = []
            for column, dimension in zip(ids.rows, panel.rows, strict=True):
                text = str(row[column])
                leads = text if dimension.field in view.links else ""
                cells.append(Cell(text, text, trace_id=leads))
            for column, value in zip(ids.values, panel.values, strict=True):
                sort = -1.0 if row[column] is None else float(row[column])
                cells.append(Cell(self._text(row[column], value), sort, number=True))
            body.append(cells)
        return heads, body

    def _log(self, panel: SearchPanel, table: Table, view: DataView, optional: str) -> Block:
        block = self._frame(panel, table, optional, "")
        heads = [Cell(self.say(name), "") for name in table.labels]
        rows = []
        for row in table.rows:
            cells = []
            for name in table.labels:
                text = row.get(name, "")
                if name == TIME_FIELD:
                    moment = datetime.fromisoformat(text)
                    shown = f"{clock(moment, self.zone)}.{moment.microsecond // 1000:03d}"
                    cells.append(Cell(shown, text))
                else:
                    leads = text if name in view.links else ""
                    cells.append(Cell(text, text, trace_id=leads))
            rows.append(cells)
        return replace(block, heads=heads, rows=rows, log=True)

    def _text(self, number: float | None, value: Value) -> str:
        if value.field != TIME_FIELD:
            return written(number, value.unit)
        if number is None:
            return NOTHING
        return clock(datetime.fromtimestamp(number / 1000, UTC), self.zone)
