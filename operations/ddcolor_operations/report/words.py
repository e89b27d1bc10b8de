"""The words of the report: the page's own, and the translations of the sources' texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.dashboards.model import ChartPanel, SearchPanel, SourceError, Sources
from ddcolor_operations.dashboards.names import TIME_FIELD

from .figures import Say

LANGUAGES = ("zh", "en")

_PAGE = {
    "title": Text("运行报告", "report"),
    "dashboards": Text("仪表盘", "Dashboards"),
    "empty": Text("这段时间内没有数据", "No data in this time"),
    "refused": Text("Elasticsearch 拒绝了查询", "Elasticsearch refuses the search"),
    "trace": Text("追踪", "Trace"),
    "made": Text("生成于", "Made"),
}


@dataclass(frozen=True, slots=True)
class PageWords:
    """The page's own words in one language."""

    title: str
    dashboards: str
    empty: str
    refused: str
    trace: str
    made: str


def page_words(language: str) -> PageWords:
    """Return the page's own words in ``language`` (zh, en)."""
    return PageWords(**{name: str(getattr(text, language)) for name, text in _PAGE.items()})


def texts(sources: Sources) -> Iterator[str]:
    """Yield every text of the sources that a reader of the report sees."""
    yield TIME_FIELD
    for search in sources.searches.values():
        yield from (*search.columns, search.optional)
    for dashboard in sources.dashboards:
        yield from (dashboard.title, dashboard.description)
        for panel in dashboard.panels:
            if isinstance(panel, SearchPanel):
                yield panel.title
            elif isinstance(panel, ChartPanel):
                yield from (panel.title, panel.description, panel.optional)
                yield from (row.label for row in panel.rows if not row.is_time)
                yield from (value.label for value in panel.values)


def translation(file: Path) -> Say:
    """Return the function that translates a text of the sources as ``file`` says.

    A text that is not there stays as it is. Raises SourceError for a file that cannot be read.
    """
    try:
        words = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    if not isinstance(words, dict) or not all(
        isinstance(text, str) for pair in words.items() for text in pair
    ):
        raise SourceError(f"{file}: it has to be a mapping of texts to texts")
    return lambda text: str(words.get(text, text))


def say(folder: Path, language: str) -> Say:
    """Return the function that says a text of the sources in ``language``."""
    return str if language == "en" else translation(folder / "words" / f"{language}.yaml")
