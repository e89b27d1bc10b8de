"""Delete what is older than it should be, where Elasticsearch does not do so by itself.

A trimmed build has neither index lifecycle management nor the lifecycle of failure stores: there
this does what the policies of ``collector/elasticsearch/lifecycle_policies`` say. ElastAlert2's own
indices are plain ones that no lifecycle fits, so their old documents are deleted on every build.
Only indices that one of our templates made are touched, and never one that is written to.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from elasticsearch import Elasticsearch

from ddcolor_operations.elastic.requests import has, request
from ddcolor_operations.elastic.setup import read_resources
from ddcolor_operations.elastic.streams import Index, Stream, read_streams

WRITEBACK = "elastalert-ddcolor*"
WRITEBACK_KEEP = timedelta(days=30)
FAILURES_KEEP = timedelta(days=30)

_LIFECYCLE = "/_data_stream/logs-ddcolor.otel-default/_lifecycle"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that was done, or in a dry run would be.

    ``documents`` counts what goes with a deletion; a rollover takes none away.
    """

    action: Literal["roll over", "delete index", "delete documents"]
    target: str
    why: str
    documents: int = 0


def apply(
    client: Elasticsearch, folder: Path, *, dry_run: bool, now: datetime | None = None
) -> list[Action]:
    """Bring every data stream and the writeback indices to what should be kept; say what was done.

    ``folder`` is ``collector/elasticsearch``; ``now`` (with a time zone) is for tests. Can be run
    at any time and again. Raises SetupError with Elasticsearch's reason.
    """
    now = now or datetime.now(UTC)
    resources, managed = read_resources(client, folder)
    actions: list[Action] = []
    for stream in read_streams(client, resources):
        if not managed:
            actions += _rollover(client, stream.name, stream, dry_run=dry_run)
            actions += _delete_old(
                client, stream.indices, stream.template.policy.keep, now, dry_run=dry_run
            )
        if stream.failures and not has(client, _LIFECYCLE):
            actions += _rollover(client, f"{stream.name}::failures", stream, dry_run=dry_run)
            actions += _delete_old(client, stream.failures, FAILURES_KEEP, now, dry_run=dry_run)
    actions += _delete_writeback(client, now, dry_run=dry_run)
    return actions


def outlived(
    indices: tuple[Index, ...], keep: timedelta, now: datetime
) -> Iterator[tuple[Index, timedelta]]:
    """Yield the indices that no document can be young enough in, with the age of their end.

    An index ends when its successor begins; the last one is written to and never among them.
    """
    for index, successor in itertools.pairwise(indices):
        age = now - successor.created
        if age > keep:
            yield index, age


def _rollover(
    client: Elasticsearch, target: str, stream: Stream, *, dry_run: bool
) -> Iterator[Action]:
    # An empty index is not rolled over: it has nothing to grow old.
    conditions = {**stream.template.policy.rollover, "min_docs": 1}
    query = "?dry_run=true" if dry_run else ""
    answer = request(client, "POST", f"/{target}/_rollover{query}", {"conditions": conditions})
    met = answer["conditions"]
    reached = [name for name, reached in met.items() if reached and "min_docs" not in name]
    has_documents = all(value for name, value in met.items() if "min_docs" in name)
    if answer["rolled_over"] or (dry_run and reached and has_documents):
        yield Action("roll over", target, ", ".join(name.strip("[]") for name in reached))


def _delete_old(
    client: Elasticsearch,
    indices: tuple[Index, ...],
    keep: timedelta,
    now: datetime,
    *,
    dry_run: bool,
) -> Iterator[Action]:
    for index, age in outlived(indices, keep, now):
        if not dry_run:
            request(client, "DELETE", f"/{index.name}")
        why = f"ended {age.days} days ago, kept for {keep.days}"
        yield Action("delete index", index.name, why, index.documents)


def _delete_writeback(client: Elasticsearch, now: datetime, *, dry_run: bool) -> Iterator[Action]:
    limit = (now - WRITEBACK_KEEP).isoformat()
    # What silences a rule is old by its time and still in force by its end.
    query: dict[str, Any] = {
        "bool": {
            "filter": [{"range": {"@timestamp": {"lt": limit}}}],
            "must_not": [{"range": {"until": {"gte": now.isoformat()}}}],
        }
    }
    lenient = "ignore_unavailable=true&allow_no_indices=true"
    if dry_run:
        path = f"/{WRITEBACK}/_count?{lenient}"
        count = int(request(client, "POST", path, {"query": query})["count"])
    else:
        path = f"/{WRITEBACK}/_delete_by_query?conflicts=proceed&{lenient}"
        count = int(request(client, "POST", path, {"query": query})["deleted"])
    if count:
        why = f"older than {WRITEBACK_KEEP.days} days"
        yield Action("delete documents", WRITEBACK, why, count)
