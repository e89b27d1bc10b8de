"""Fill the report's template; the result is one file that loads nothing from anywhere."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from comfyui_telemetry.catalogue import Text

from . import charts, names, page
from .charts import Bucket, Durations
from .facts import Delivery, Run
from .figures import Figure
from .pictures import embed
from .spans import Row, total_s
from .units import seconds


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace to show, under its own heading."""

    title: Text
    trace_id: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read from Elasticsearch for the charts."""

    traces: Sequence[Trace]
    durations: Sequence[Durations]
    outcomes: Sequence[Bucket]


def render(run: Run, evidence: Evidence, language: str = "zh") -> str:
    """Return the report as HTML; ``language`` (zh, en) is the one shown first.

    Raises OSError when a photo of the run cannot be read.
    """
    figures: dict[str, Figure] = {
        "latency": charts.latency_chart(run.faults),
        "durations": charts.durations_chart(evidence.durations),
        "outcomes": charts.outcomes_chart(evidence.outcomes),
    }
    traces = []
    for number, trace in enumerate(evidence.traces):
        figures[f"trace-{number}"] = charts.trace_chart(trace.rows)
        traces.append((trace, total_s(trace.rows), f"trace-{number}"))
    return page.render(
        "report.html.j2",
        styles=("report.css",),
        scripts=("report.js",),
        figures=figures,
        filters={"seconds": seconds},
        language=language,
        t=_both,
        names=names,
        run=run,
        photos=[(photo, embed(photo.input), embed(photo.output)) for photo in run.photos],
        key_figures=_key_figures(run),
        latency_lanes=len({alert.alert_id for fault in run.faults for alert in fault.alerts}),
        by_channel=_by_channel(run),
        traces=traces,
        duration_lanes=len(evidence.durations),
        most_documents=max(run.documents.values(), default=0),
    )


def write(file: Path, run: Run, evidence: Evidence, language: str = "zh") -> None:
    """Write the report to ``file``; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render(run, evidence, language), encoding="utf-8")


def _both(text: Text) -> Markup:
    """Return both languages; the page's style shows one of them."""
    return Markup('<span lang="zh">{}</span><span lang="en">{}</span>').format(text.zh, text.en)


def _sent(run: Run) -> list[Delivery]:
    return [a for fault in run.faults for a in fault.alerts if a.channel != "record"]


def _key_figures(run: Run) -> list[tuple[Text, str]]:
    """Return the headline numbers, each with what it counts."""
    sent = [alert.seconds for alert in _sent(run)]
    figures = [
        (Text("张照片已修复", "photos restored"), str(len(run.photos))),
        (Text("种真实故障", "faults caused for real"), str(len(run.faults))),
        (Text("条消息已送达", "messages delivered"), str(len(sent))),
    ]
    if sent:
        figures += [
            (
                Text("故障到消息（中位）", "fault to message, median"),
                seconds(statistics.median(sent)),
            ),
            (Text("故障到消息（最慢）", "fault to message, slowest"), seconds(max(sent))),
        ]
    return figures


def _by_channel(run: Run) -> list[tuple[str, int, float, float]]:
    """Return for each channel used: its messages, and their median and greatest seconds."""
    table = []
    for channel in names.CHANNELS:
        values = [a.seconds for fault in run.faults for a in fault.alerts if a.channel == channel]
        if values:
            table.append((channel, len(values), statistics.median(values), max(values)))
    return table
