"""The loop that keeps the data in order goes on whatever happens to Elasticsearch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import CapturingLogger

from ddcolor_operations.data.keep import Keeper
from ddcolor_operations.elastic.client import connect
from tests.support.elastic_memory import Memory, running_memory

FOLDER = Path(__file__).parents[3] / "collector" / "elasticsearch"


class Bench:
    """A keeper over a memory, a clock that is moved by hand, and what was said."""

    def __init__(self, memory: Memory, folder: Path) -> None:
        self.memory = memory
        self.ready = folder / "ready"
        self.now = 0.0
        self._capture = CapturingLogger()
        self.keeper = Keeper(
            connect(memory.url),
            FOLDER,
            structlog.wrap_logger(self._capture, processors=[]),
            every_s=10,
            retention_every_s=3600,
            ready_file=self.ready,
            clock=lambda: self.now,
        )

    def said(self) -> list[tuple[str, str]]:
        """Return the level and text of everything that was said, and forget it."""
        calls = [(call.method_name, str(call.kwargs["event"])) for call in self._capture.calls]
        self._capture.calls.clear()
        return calls

    def deletions(self) -> int:
        """Return how often old writeback documents were deleted, which each retention does."""
        return sum("_delete_by_query" in path for path in self.memory.sent("POST"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Run a keeper's Elasticsearch in which nothing was refused and nothing is old."""
    with running_memory() as memory:
        memory.answers["/logs-ddcolor.dead_letter-default/_search"] = {}
        memory.answers["/_reindex"] = {"created": 0}
        memory.answers["/elastalert-ddcolor*/_delete_by_query"] = {"deleted": 0}
        yield Bench(memory, tmp_path)


def test_each_round_looks_for_refused_documents(bench: Bench) -> None:
    """What is new is said; a round without any says nothing."""
    bench.keeper.round()
    assert bench.said() == []
    bench.memory.answers["/_reindex"] = {"created": 3}
    bench.keeper.round()
    assert bench.said() == [("warning", "Elasticsearch refused 3 documents, now on record")]


def test_retention_runs_at_once_and_then_by_the_hour(bench: Bench) -> None:
    """The first round deletes, later ones only when the time has come."""
    bench.keeper.round()
    assert bench.deletions() == 1
    bench.now = 3599
    bench.keeper.round()
    assert bench.deletions() == 1
    bench.now = 3600
    bench.keeper.round()
    assert bench.deletions() == 2


def test_fault_is_said_once_and_its_end_too(bench: Bench) -> None:
    """While Elasticsearch refuses, the loop goes on quietly and is not called healthy."""
    bench.memory.refusal = {"reason": "no rights"}
    bench.keeper.round()
    bench.keeper.round()
    ((level, text),) = bench.said()
    assert level == "error"
    assert text.startswith("The data cannot be kept in order: ")
    assert text.endswith("no rights")
    assert not bench.ready.exists()

    bench.memory.refusal = None
    bench.keeper.round()
    assert bench.said() == [("info", "The data is kept in order again")]
    assert bench.ready.exists()


def test_shard_that_is_about_to_start_is_said_only_if_it_does_not(bench: Bench) -> None:
    """An answer of 503 is usual once; one that stays is a fault like any other."""
    bench.memory.unavailable = True
    bench.keeper.round()
    assert bench.said() == []
    bench.keeper.round()
    bench.keeper.round()
    assert [level for level, _ in bench.said()] == ["error"]


def test_everything_is_looked_at_after_a_start_and_after_a_fault(bench: Bench) -> None:
    """Only a collection that was not cut off lets the next one begin at the newest record."""
    newest = {"aggregations": {"newest": {"value": 1_795_534_193_626}}}
    bench.memory.answers["/logs-ddcolor.dead_letter-default/_search"] = newest
    bench.keeper.round()
    bench.keeper.round()
    bench.memory.refusal = {"reason": "disk full"}
    bench.keeper.round()
    bench.memory.refusal = None
    bench.keeper.round()
    bodies = [body for _, path, body in bench.memory.requests if path.startswith("/_reindex")]
    assert ["query" in body["source"] for body in bodies] == [False, True, False]


def test_loop_ends_when_it_is_told_to(bench: Bench) -> None:
    """A stop is heard between rounds, without waiting for the next one."""
    stopped = threading.Event()
    loop = threading.Thread(target=bench.keeper.run, args=(stopped,))
    loop.start()
    stopped.set()
    loop.join(timeout=30)
    assert not loop.is_alive()
