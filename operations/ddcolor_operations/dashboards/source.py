"""Reads the YAML sources; what they say wrongly is a SourceError that tells the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from .model import (
    Aggregation,
    Area,
    Chart,
    ChartPanel,
    Control,
    Dashboard,
    DataView,
    Dimension,
    Order,
    OrderBy,
    Panel,
    Per,
    RuntimeField,
    Search,
    SearchPanel,
    SourceError,
    Sources,
    TextPanel,
    Unit,
    Value,
)
from .names import TIME_FIELD

_COMMON = "common.yaml"
_FIELDLESS = ("count", "formula")


class _Node:
    """A mapping of a source whose keys are taken one by one; one that is left over is a mistake."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise SourceError(f"{where}: a mapping is expected, not {value!r:.80}")
        self._left: dict[Any, Any] = dict(value)
        self.where = where

    def has(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, default: Any = None) -> Any:
        return self._left.pop(key, default)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._left.pop(key, default)
        if not isinstance(value, str):
            raise SourceError(f"{self.where}: {key} has to be a text, not {value!r:.80}")
        return value.strip()

    def whole(self, key: str, default: int) -> int:
        value = self._left.pop(key, default)
        if type(value) is not int or value < 0:
            raise SourceError(f"{self.where}: {key} has to be a whole number, not {value!r:.80}")
        return value

    def choice(self, key: str, choices: object, default: str | None = None) -> Any:
        value = self.text(key, default)
        allowed = get_args(choices)
        if value not in allowed:
            known = ", ".join(filter(None, allowed))
            raise SourceError(f"{self.where}: {key} is {value!r}; known are {known}")
        return value

    def items(self, key: str) -> Iterator[tuple[object, str]]:
        value = self._left.pop(key, [])
        if not isinstance(value, list):
            raise SourceError(f"{self.where}: {key} has to be a list, not {value!r:.80}")
        for number, item in enumerate(value, 1):
            yield item, f"{self.where}, {key} {number}"

    def mapping(self, key: str) -> dict[str, Any]:
        return _Node(self._left.pop(key, {}), f"{self.where}, {key}")._left

    def done(self) -> None:
        if self._left:
            unknown = ", ".join(map(str, self._left))
            raise SourceError(f"{self.where}: unknown key {unknown}")


def load(folder: Path) -> Sources:
    """Read all sources of ``folder``: common.yaml, and a file for each dashboard it lists."""
    common = _Node(_read(folder / _COMMON), _COMMON)
    views = {
        name: _data_view(_Node(value, f"{_COMMON}, data view {name}"))
        for name, value in common.mapping("data_views").items()
    }
    searches = {
        name: _search(_Node(value, f"{_COMMON}, search {name}"), views)
        for name, value in common.mapping("searches").items()
    }
    names = [str(name) for name, _ in common.items("dashboards")]
    common.done()
    sources = {path.stem for path in folder.glob("*.yaml")} - {Path(_COMMON).stem}
    if sources != set(names):
        odd = ", ".join(sorted(sources ^ set(names)))
        raise SourceError(
            f"{_COMMON}: dashboards and the files of {folder} differ in {odd}. Add it to both or"
            " take it from both."
        )
    dashboards = tuple(_dashboard(name, folder / f"{name}.yaml", views, searches) for name in names)
    return Sources(views, searches, dashboards)


def _read(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SourceError(f"{path} is not YAML: {error}") from error


def _data_view(node: _Node) -> DataView:
    runtime = {}
    for name, value in node.mapping("runtime").items():
        inner = _Node(value, f"{node.where}, runtime field {name}")
        runtime[name] = RuntimeField(inner.text("type"), inner.text("script"))
        inner.done()
    view = DataView(
        id=node.text("id"),
        pattern=node.text("pattern"),
        title=node.text("title"),
        runtime=runtime,
        links=node.mapping("links"),
        foreign=node.mapping("foreign"),
    )
    node.done()
    return view


def _search(node: _Node, views: Mapping[str, DataView]) -> Search:
    search = Search(
        id=node.text("id"),
        title=node.text("title"),
        view=_known(node, "view", views),
        where=node.text("where", ""),
        columns=tuple(str(column) for column, _ in node.items("columns")),
        oldest_first=node.take("oldest_first", False) is True,
        optional=node.text("optional", ""),
    )
    node.done()
    return search


def _dashboard(
    name: str, path: Path, views: Mapping[str, DataView], searches: Mapping[str, Search]
) -> Dashboard:
    node = _Node(_read(path), path.name)
    controls = []
    for item, where in node.items("controls"):
        inner = _Node(item, where)
        controls.append(
            Control(_known(inner, "view", views), inner.text("field"), inner.text("title"))
        )
        inner.done()
    panels = tuple(
        _panel(_Node(item, where), views, searches) for item, where in node.items("panels")
    )
    titles = [panel.title for panel in panels]
    if twice := {title for title in titles if titles.count(title) > 1}:
        # The ids of panels come from their titles.
        raise SourceError(f"{path.name}: two panels are called {', '.join(sorted(twice))}")
    dashboard = Dashboard(
        name=name,
        title=node.text("title"),
        description=node.text("description"),
        time_from=node.text("time_from", "now-24h"),
        controls=tuple(controls),
        panels=panels,
    )
    node.done()
    return dashboard


def _panel(node: _Node, views: Mapping[str, DataView], searches: Mapping[str, Search]) -> Panel:
    title = node.text("title")
    node.where = f"{node.where} ({title})"
    area = _area(node)
    panel: Panel
    if node.has("search"):
        panel = SearchPanel(title, area, _known(node, "search", searches))
    elif node.has("chart"):
        panel = _chart(node, title, area, views)
    else:
        panel = TextPanel(title, area, node.text("text") if node.has("text") else None)
    node.done()
    return panel


def _area(node: _Node) -> Area:
    place = node.take("at")
    if not isinstance(place, list) or len(place) != 4 or any(type(n) is not int for n in place):
        raise SourceError(f"{node.where}: at has to be [x, y, width, height], not {place!r:.80}")
    return Area(*place)


def _chart(node: _Node, title: str, area: Area, views: Mapping[str, DataView]) -> ChartPanel:
    panel = ChartPanel(
        title=title,
        area=area,
        chart=node.choice("chart", Chart),
        view=_known(node, "view", views),
        where=node.text("where", ""),
        rows=tuple(_dimension(item, where) for item, where in node.items("rows")),
        split=_dimension(node.take("split"), f"{node.where}, split") if node.has("split") else None,
        values=tuple(_value(_Node(item, where)) for item, where in node.items("values")),
        description=node.text("description", ""),
        optional=node.text("optional", ""),
    )
    if not panel.values:
        raise SourceError(f"{node.where}: values are missing")
    wanted = {"metric": (0, 1), "table": (1, 9)}.get(panel.chart, (1, 1))
    if not wanted[0] <= len(panel.rows) <= wanted[1]:
        raise SourceError(f"{node.where}: a {panel.chart} chart cannot have {len(panel.rows)} rows")
    if panel.chart == "metric" and len(panel.values) != 1:
        raise SourceError(f"{node.where}: a metric has one value")
    if panel.split is not None and (panel.chart in ("metric", "table") or len(panel.values) != 1):
        raise SourceError(f"{node.where}: only an XY chart with one value can be split")
    return panel


def _dimension(item: object, where: str) -> Dimension:
    if item == "time":
        return Dimension(TIME_FIELD, TIME_FIELD, is_time=True)
    node = _Node(item, where)
    name = node.text("field")
    order = None
    if node.has("order"):
        inner = _Node(node.take("order"), f"{where}, order")
        order = Order(
            inner.choice("by", OrderBy),
            inner.text("field", ""),
            inner.take("descending", False) is True,
        )
        inner.done()
    dimension = Dimension(name, node.text("label", name), size=node.whole("size", 10), order=order)
    node.done()
    return dimension


def _value(node: _Node) -> Value:
    of = node.choice("of", Aggregation)
    value = Value(
        of=of,
        label=node.text("label"),
        field="" if of in _FIELDLESS else node.text("field"),
        percentile=node.whole("percentile", 0),
        formula=node.text("formula") if of == "formula" else "",
        where=node.text("where", ""),
        per=node.choice("per", Per, ""),
        unit=node.choice("unit", Unit, ""),
        color=node.text("color", ""),
        optional=node.take("optional", False) is True,
    )
    if (of == "percentile") != (0 < value.percentile < 100):
        raise SourceError(f"{node.where}: a percentile (1 to 99), and only it, needs percentile")
    node.done()
    return value


def _known(node: _Node, key: str, names: Mapping[str, object]) -> str:
    name = node.text(key)
    if name not in names:
        raise SourceError(f"{node.where}: no {key} {name!r}; known are {', '.join(names)}")
    return name
