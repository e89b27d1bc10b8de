"""What is too old goes, and nothing else: against an Elasticsearch that is only a memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.data import retention
from ddcolor_operations.elastic.client import connect
from tests.support.elastic_memory import Memory, running_memory

FOLDER = Path(__file__).parents[3] / "collector" / "elasticsearch"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WRITEBACK = "/elastalert-ddcolor*/_delete_by_query"
LIFECYCLE = "/_data_stream/logs-ddcolor.otel-default/_lifecycle"


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Run a trimmed Elasticsearch without old documents in the writeback indices."""
    with running_memory() as server:
        server.missing.add(LIFECYCLE)
        server.answers[WRITEBACK] = {"deleted": 0}
        server.answers["/elastalert-ddcolor*/_count"] = {"count": 0}
        yield server


def add_stream(
    memory: Memory, stream: str, ages_days: list[float], *, failures: list[float] | None = None
) -> None:
    """Give the memory a data stream whose indices were made so many days ago, oldest first."""
    memory.add_stream(stream, _days_ago(ages_days), failures=_days_ago(failures or []))
    for target in (stream, f"{stream}::failures"):
        memory.answers[f"/{target}/_rollover"] = rollover(rolled_over=False)


def _days_ago(ages: list[float]) -> list[datetime]:
    return [NOW - timedelta(days=age) for age in ages]


def rollover(*, rolled_over: bool, **conditions: bool) -> dict[str, Any]:
    """Return Elasticsearch's answer to a rollover with conditions."""
    return {
        "rolled_over": rolled_over,
        "conditions": {f"[{name}: 1]": met for name, met in conditions.items()},
    }


def apply(memory: Memory, *, dry_run: bool = False) -> list[retention.Action]:
    """Run the retention at NOW."""
    with connect(memory.url) as client:
        return retention.apply(client, FOLDER, dry_run=dry_run, now=NOW)


@pytest.mark.parametrize(
    ("stream", "days"),
    [
        ("logs-ddcolor.otel-default", 30),
        ("traces-ddcolor.otel-default", 14),
        ("metrics-ddcolor.otel-default", 90),
        ("logs-ddcolor.alerts-default", 90),
    ],
)
def test_index_goes_when_its_last_document_is_too_old(
    memory: Memory, stream: str, days: int
) -> None:
    """The age counts from the beginning of the next index, to the day that the policy says."""
    add_stream(memory, stream, [days + 9, days + 0.1, days - 0.1, 0])
    (action,) = apply(memory)
    assert memory.sent("DELETE") == [f"/.ds-{stream}-000001"]
    assert (action.action, action.documents) == ("delete index", 7)
    assert action.target == f".ds-{stream}-000001"
    assert action.why == f"ended {days} days ago, kept for {days}"


def test_index_that_is_written_to_stays_however_old(memory: Memory) -> None:
    """A data stream keeps its last index, even if nothing has come for years."""
    add_stream(memory, "logs-ddcolor.otel-default", [4000])
    assert apply(memory) == []
    assert memory.sent("DELETE") == []


def test_streams_of_others_are_not_touched(memory: Memory) -> None:
    """Only data streams of our own templates are looked at."""
    add_stream(memory, "logs-ddcolor.other-default", [900, 800, 0])
    add_stream(memory, "logs-nginx-default", [900, 800, 0])
    assert apply(memory) == []
    assert memory.sent("DELETE") == []


def test_dry_run_changes_nothing_and_says_the_same(memory: Memory) -> None:
    """What would be done is told; no request changes anything."""
    stream = "logs-ddcolor.otel-default"
    add_stream(memory, stream, [99, 50, 2])
    memory.answers[f"/{stream}/_rollover"] = rollover(
        rolled_over=False, max_age=True, min_docs=True
    )
    memory.answers["/elastalert-ddcolor*/_count"] = {"count": 3}
    actions = apply(memory, dry_run=True)
    assert [action.action for action in actions] == [
        *("roll over", "delete index", "delete documents"),
    ]
    assert memory.sent("DELETE") == memory.sent("PUT") == []
    assert {path.split("?")[0] for path in memory.sent("POST")} == {
        f"/{stream}/_rollover",
        "/elastalert-ddcolor*/_count",
    }
    assert f"/{stream}/_rollover?dry_run=true" in memory.sent("POST")


def test_rollover_has_the_policys_conditions(memory: Memory) -> None:
    """A day or 5 GB, but no empty index."""
    stream = "logs-ddcolor.otel-default"
    add_stream(memory, stream, [2])
    memory.answers[f"/{stream}/_rollover"] = rollover(rolled_over=True, max_age=True, min_docs=True)
    (action,) = apply(memory)
    (body,) = [body for _, path, body in memory.requests if path.startswith(f"/{stream}/_roll")]
    assert body == {"conditions": {"max_age": "1d", "max_primary_shard_size": "5gb", "min_docs": 1}}
    assert (action.action, action.target, action.why) == ("roll over", stream, "max_age: 1")


def test_empty_index_is_not_told_as_rolled_over(memory: Memory) -> None:
    """In a dry run, an old index without documents is left out, as a real run leaves it."""
    stream = "logs-ddcolor.otel-default"
    add_stream(memory, stream, [2])
    memory.answers[f"/{stream}/_rollover"] = rollover(
        rolled_over=False, max_age=True, min_docs=False
    )
    assert apply(memory, dry_run=True) == []


def test_index_that_was_deleted_meanwhile_is_passed_over(memory: Memory) -> None:
    """Somebody else may delete one between the look at the stream and that at its indices."""
    stream = "logs-ddcolor.otel-default"
    add_stream(memory, stream, [99, 60, 50, 0])
    del memory.answers[f"/{stream}"][f".ds-{stream}-000001"]
    (action,) = apply(memory)
    assert action.target == f".ds-{stream}-000002"


def test_server_with_lifecycle_management_deletes_by_itself(memory: Memory) -> None:
    """Only the writeback indices are left to do."""
    memory.missing.clear()
    add_stream(memory, "logs-ddcolor.otel-default", [99, 50, 0], failures=[99, 50, 0])
    memory.answers[WRITEBACK] = {"deleted": 5}
    (action,) = apply(memory)
    assert (action.action, action.documents) == ("delete documents", 5)
    assert memory.sent("DELETE") == []
    assert [path.split("?")[0] for path in memory.sent("POST")] == [WRITEBACK]


def test_old_refused_documents_go_where_no_lifecycle_does_it(memory: Memory) -> None:
    """The failure store's indices are kept for 30 days."""
    stream = "metrics-ddcolor.otel-default"
    add_stream(memory, stream, [0], failures=[40, 31, 5])
    apply(memory)
    assert memory.sent("DELETE") == [f"/.fs-{stream}-000001"]


def test_silence_that_is_in_force_outlives_its_document(memory: Memory) -> None:
    """Old writeback documents go, but not one whose end lies ahead."""
    apply(memory)
    (body,) = [body for _, path, body in memory.requests if path.startswith(WRITEBACK)]
    query = json.dumps(body["query"])
    assert '"@timestamp": {"lt": "2026-10-25T12:00:00+00:00"}' in query
    assert body["query"]["bool"]["must_not"] == [{"range": {"until": {"gte": NOW.isoformat()}}}]
