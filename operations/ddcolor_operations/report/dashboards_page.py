"""All dashboards, filled by one Elasticsearch, as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice

from elasticsearch import Elasticsearch

from comfyui_telemetry._version import __version__
from ddcolor_operations.dashboards.model import Dashboard, SourceError, Sources
from ddcolor_operations.dashboards.request import TimeRange
from ddcolor_operations.dashboards.run import Runner
from ddcolor_operations.dashboards.saved_objects import FOLDER, build
from ddcolor_operations.dashboards.source import load
from ddcolor_operations.dashboards.times import TimeError, last
from ddcolor_operations.elastic import queries

from .boards import Board, Boards
from .figures import Figure
from .page import render
from .spans import total_s, waterfall
from .units import clock, seconds
from .words import page_words, say

# The dashboard that shows one trace; the others' tables lead to it.
_PROMPT = "prompt"
_TRACES_OF_A_TABLE = 6
_MOST_TRACES = 24


@dataclass(frozen=True, slots=True)
class DashboardsPage:
    """The page, how many panels it has and how many of them lack data, and what was refused."""

    html: str
    panels: int
    blank: int
    refused: Sequence[str]


def collect(
    client: Elasticsearch,
    time: TimeRange,
    language: str,
    trace_id: str | None = None,
    zone: tzinfo | None = None,
) -> DashboardsPage:
    """Ask for every panel and return the page.

    The prompt dashboard is there for ``trace_id``, or for the traces that the other dashboards'
    tables lead to. Raises SourceError, and the client's errors when Elasticsearch does not answer.
    """
    sources = load(FOLDER)
    boards = Boards(sources, build(sources), say(FOLDER, language), zone)
    runner = Runner(client, boards.objects, time)
    filled = {
        dashboard.name: [boards.board(dashboard, runner)]
        for dashboard in sources.dashboards
        if dashboard.name != _PROMPT
    }
    every = [board for group in filled.values() for board in group]
    prompt = next(dashboard for dashboard in sources.dashboards if dashboard.name == _PROMPT)
    traces = [trace_id] if trace_id else list(islice(_traces(every), _MOST_TRACES))
    # A trace is looked for as far back as that dashboard goes: it may be older than the report.
    wide = Runner(client, boards.objects, _wide(prompt, time))
    filled[_PROMPT] = [boards.board(prompt, wide, each) for each in traces] or [
        boards.board(prompt, runner)
    ]
    ordered = [board for dashboard in sources.dashboards for board in filled[dashboard.name]]
    figures: dict[str, Figure] = {}
    for number, board in enumerate(ordered):
        for place, block in enumerate(board.blocks):
            if block.figure is not None:
                figures[f"f{number}-{place}"] = block.figure
    words = page_words(language)
    html = render(
        "dashboards.html.j2",
        styles=("dashboards.css",),
        scripts=("dashboards.js",),
        figures=figures,
        filters={},
        language=language,
        say=words,
        tabs=_tabs(sources, filled),
        boards=ordered,
        embedded=traces,
        labels={trace: _label(client, trace, zone) for trace in traces},
        range=f"{clock(time.start, zone)} – {clock(time.end, zone)} {_zone_name(time, zone)}",
        made=clock(datetime.now(UTC), zone),
        source=f"ddcolor-observability {__version__}",
    )
    blocks = [block for board in ordered for block in board.blocks]
    return DashboardsPage(
        html=html,
        panels=len(blocks),
        blank=sum(block.blank for block in blocks),
        refused=[f"{block.title}: {block.refused}" for block in blocks if block.refused],
    )


def _traces(boards: Sequence[Board]) -> Iterator[str]:
    found = (trace for board in boards for trace in board.traces(_TRACES_OF_A_TABLE))
    yield from dict.fromkeys(found)


def _wide(prompt: Dashboard, time: TimeRange) -> TimeRange:
    try:
        reach = last(prompt.time_from.removeprefix("now-"))
    except TimeError as error:
        raise SourceError(f"{prompt.name}.yaml: time_from {prompt.time_from}: {error}") from error
    return TimeRange(min(time.start, reach.start), max(time.end, reach.end) + timedelta(minutes=1))


def _tabs(sources: Sources, filled: dict[str, list[Board]]) -> list[tuple[str, str]]:
    titles = ((each.name, filled[each.name][0].title) for each in sources.dashboards)
    # Not str.capitalize, which makes the rest of it small.
    shorts = ((name, title.removeprefix("DDColor ")) for name, title in titles)
    return [(name, short[:1].upper() + short[1:]) for name, short in shorts]


def _label(client: Elasticsearch, trace_id: str, zone: tzinfo | None) -> str:
    """Return what a reader knows a trace by: its time, how it ended and how long it took."""
    rows = waterfall(queries.trace(client, trace_id))
    if not rows:
        return trace_id[:12]
    ended = next((row.outcome for row in rows if row.span.name == "prompt"), None)
    facts = (clock(rows[0].span.start, zone), ended, seconds(total_s(rows)), trace_id[:8])
    return " · ".join(filter(None, facts))


def _zone_name(time: TimeRange, zone: tzinfo | None) -> str:
    return time.end.astimezone(zone).strftime("UTC%z")
