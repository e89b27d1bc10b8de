"""A load of lines and spans whose arrival can be counted exactly."""

from __future__ import annotations

import threading
from collections import Counter

from ddcolor_operations.elastic import queries
from tests.support.elastic import (
    Pipeline,
    eventually,
    log_line,
    new_span_id,
    new_trace_id,
    otlp_span,
)


class Load:
    """Lines and spans of one trace, sent in rounds by a thread of its own.

    A round is ``lines_a_round`` lines, written to the log file ``name``, and one span.
    """

    def __init__(
        self, pipeline: Pipeline, name: str, *, rounds: int = 40, lines_a_round: int = 50
    ) -> None:
        self.rounds = rounds
        self._lines_a_round = lines_a_round
        self.trace_id = new_trace_id()
        self.uids: list[str] = []
        self.span_ids: list[str] = []
        self._round = threading.Condition()
        self._rounds = 0
        self._pipeline = pipeline
        self._name = name
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def wait_round(self, number: int) -> None:
        """Wait until ``number`` rounds were sent, so that a kill falls into the middle."""
        with self._round:
            assert self._round.wait_for(lambda: self._rounds >= number, timeout=120)

    def _send(self) -> None:
        for _ in range(self.rounds):
            lines = [log_line("load", trace_id=self.trace_id) for _ in range(self._lines_a_round)]
            self.uids += [str(line["log.record.uid"]) for line in lines]
            self._pipeline.write_lines(lines, self._name)
            span_id = new_span_id()
            self.span_ids.append(span_id)
            self._pipeline.post("traces", otlp_span(self.trace_id, span_id))
            with self._round:
                self._rounds += 1
                self._round.notify_all()


def arrived(pipeline: Pipeline, load: Load) -> tuple[Counter[str], Counter[str]]:
    """Return how often each line (by uid) and each span (by id) of the load is visible now."""
    logs = queries.logs_of_trace(pipeline.client, load.trace_id)
    spans = queries.trace(pipeline.client, load.trace_id)
    return Counter(record.uid for record in logs), Counter(span.span_id for span in spans)


def wait_for_all(pipeline: Pipeline, load: Load, timeout_s: float = 90.0) -> None:
    """Wait until every line and span of the load is visible; AssertionError with what is not."""

    def missing() -> tuple[int, int]:
        logs, spans = arrived(pipeline, load)
        return len(set(load.uids) - set(logs)), len(set(load.span_ids) - set(spans))

    eventually(missing, lambda counts: counts == (0, 0), timeout_s)
