"""The spans of a trace, put in the order of a waterfall."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from comfyui_telemetry import semconv
from ddcolor_operations.elastic.queries import Span

# Outcomes of nodes that did not run, and so took no time.
NOT_RUN = ("cached", "skipped")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a waterfall: how deep, and seconds after the trace's first span it began."""

    span: Span
    depth: int
    offset_s: float

    @property
    def failed(self) -> bool:
        """Whether the span ended with an error."""
        return self.span.status == "Error"

    @property
    def outcome(self) -> str | None:
        """The outcome of the node or prompt, if the span is one."""
        attributes = self.span.attributes
        value = attributes.get(semconv.NODE_OUTCOME) or attributes.get(semconv.PROMPT_OUTCOME)
        return None if value is None else str(value)

    @property
    def error_kind(self) -> str | None:
        """The kind of the fault that ended the span, if one did."""
        value = self.span.attributes.get(semconv.ERROR_KIND)
        return None if value is None else str(value)

    @property
    def took_s(self) -> float | None:
        """Seconds that the span took; None for a node that did not run."""
        return None if self.outcome in NOT_RUN else self.span.duration_s


def waterfall(spans: Iterable[Span]) -> list[Row]:
    """Order spans parent before child, siblings by start.

    A span whose parent is not among them (the caller's own, or one still unfinished) is a root. A
    re-sent span is shown once.
    """
    distinct = {span.span_id: span for span in spans}
    children: dict[str | None, list[Span]] = defaultdict(list)
    for span in distinct.values():
        children[span.parent_span_id if span.parent_span_id in distinct else None].append(span)
    if not distinct:
        return []
    origin = min(span.start for span in distinct.values())
    rows: list[Row] = []
    waiting = [(span, 0) for span in _latest_first(children[None])]
    while waiting:
        span, depth = waiting.pop()
        rows.append(Row(span, depth, (span.start - origin).total_seconds()))
        waiting += [(child, depth + 1) for child in _latest_first(children[span.span_id])]
    return rows


def total_s(rows: Iterable[Row]) -> float:
    """Return the time from the first span's start to the last one's end, in seconds."""
    return max((row.offset_s + row.span.duration_s for row in rows), default=0.0)


def _latest_first(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: span.start, reverse=True)
