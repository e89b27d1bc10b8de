"""Render the page of names: ``python -m comfyui_telemetry.semconv_docs > FILE``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from . import semconv
from .catalogue import CATALOGUE

_INTRODUCTION = """\
# Names of attributes, events and metrics

Made by `python -m comfyui_telemetry.semconv_docs`; do not edit by hand. The declarations are in
`instrumentation/comfyui_telemetry/semconv.py` and `catalogue.py`.

Names without the prefix `comfyui.` or `ddcolor.` are OpenTelemetry's own
[semantic conventions](https://opentelemetry.io/docs/specs/semconv/). A log record also has
`@timestamp` (UTC, microseconds), `log.level` (debug, info, warning, error, critical), `message`,
and inside a trace `trace_id` (32 hex digits) and `span_id` (16).
"""
_KINDS = """\
The keyword stands in the message of exactly one record per fault. Of some kinds no record tells: a
rule finds them over many records, or in their absence.
"""
_LEVELS = {1: "recorded", 2: "chat", 3: "chat, SMS, mail, self-healing"}


def render() -> str:
    """Return the whole page in Markdown."""
    attributes = (
        (f"`{a.name}`", a.type, a.unit and f"`{a.unit}`", a.brief, _code(a.example), a.stability)
        for a in semconv.ATTRIBUTES.values()
    )
    events = ((f"`{e.name}`", e.brief, e.stability) for e in semconv.EVENTS.values())
    metrics = (
        (f"`{m.name}`", m.instrument, f"`{m.unit}`", m.brief, m.stability)
        for m in semconv.METRICS.values()
    )
    kinds = (
        (
            f"`{k.name}`",
            k.keyword + " (in no record)" * k.derived,
            f"{int(k.level)} ({_LEVELS[int(k.level)]})" + (", three in a row 3" * k.escalates),
            k.title.en,
            k.title.zh,
        )
        for k in CATALOGUE.values()
    )
    return "\n".join(
        [
            _INTRODUCTION,
            "## Attributes\n",
            _table(("Name", "Type", "Unit", "Meaning", "Example", "Stability"), attributes),
            "## Events (`event.name`)\n",
            _table(("Name", "Meaning", "Stability"), events),
            "## Metrics\n",
            _table(("Name", "Instrument", "Unit", "Meaning", "Stability"), metrics),
            "## Kinds of faults (`comfyui.error.kind`)\n",
            _KINDS,
            _table(("Kind", "Keyword", "Level", "Meaning", "含义"), kinds),
        ]
    )


def _code(value: object) -> str:
    return f"`{value}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


if __name__ == "__main__":
    sys.stdout.write(render())
