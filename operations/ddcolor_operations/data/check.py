"""Compare what Elasticsearch has with what our files say, and tell what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elasticsearch import Elasticsearch

from ddcolor_operations.elastic.requests import request
from ddcolor_operations.elastic.setup import (
    installed_hash,
    is_outdated,
    lacks_failure_store,
    read_resources,
    shadowed,
)
from ddcolor_operations.elastic.streams import Stream, read_streams

from .letters import DEAD_LETTERS, FAILURES
from .retention import FAILURES_KEEP, outlived

_SETUP = "Run: ddcolor-obs data setup"
_KEEP = "See that `ddcolor-obs data keep` runs; once by hand: ddcolor-obs data retention"
_COLLECT = "See that `ddcolor-obs data keep` runs; after a start it looks at all of them"
# Whatever deletes old indices, it may take its time.
_PATIENCE = timedelta(days=2)
# `data keep` looks every ten seconds.
_COLLECTED_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``problem`` is None if it is as it should be."""

    what: str
    problem: str | None = None
    advice: str = ""


def check(client: Elasticsearch, folder: Path, now: datetime | None = None) -> list[Finding]:
    """Look at every resource and data stream; ``folder`` is ``collector/elasticsearch``.

    Nothing is changed. Raises SetupError if Elasticsearch cannot be asked.
    """
    now = now or datetime.now(UTC)
    resources, managed = read_resources(client, folder)
    findings = []
    for resource in resources.install:
        found = installed_hash(client, resource)
        problem = None
        if found != resource.digest:
            problem = "it is not installed" if found is None else "another version is installed"
        findings.append(Finding(resource.path, problem, _SETUP))
    for template in resources.templates:
        new = f"{template.prefix}default"
        problem = shadowed(client, new, template.digest)
        findings.append(Finding(f"mapping of a new {new}", problem, _SETUP))
    for stream in read_streams(client, resources):
        findings += _check_stream(stream, now, managed=managed)
    findings.append(_check_letters(client, now))
    return findings


def _check_stream(stream: Stream, now: datetime, *, managed: bool) -> Iterator[Finding]:
    problem = "its index was made of earlier templates" if is_outdated(stream) else None
    yield Finding(f"mapping of {stream.name}", problem, _SETUP)
    problem = "it is off: refused documents are gone" if lacks_failure_store(stream) else None
    yield Finding(f"failure store of {stream.name}", problem, _SETUP)
    policy = stream.template.policy
    written = stream.indices[-1]
    problem = None
    if managed and written.lifecycle != policy.name:
        problem = f"its index has the lifecycle {written.lifecycle}, not {policy.name}"
    yield Finding(f"lifecycle of {stream.name}", problem, _SETUP)
    for what, indices, keep in (
        (stream.name, stream.indices, policy.keep),
        (f"{stream.name}::failures", stream.failures, FAILURES_KEEP),
    ):
        old = [index.name for index, _ in outlived(indices, keep + _PATIENCE, now)]
        problem = f"older than {keep.days} days: {', '.join(old)}" if old else None
        yield Finding(f"age of {what}", problem, _KEEP)


def _check_letters(client: Elasticsearch, now: datetime) -> Finding:
    """Find refused documents of the last day that have waited too long for their record."""
    day = {"gte": (now - timedelta(days=1)).isoformat()}
    waited = {**day, "lt": (now - _COLLECTED_WITHIN).isoformat()}
    refused = _count(client, ",".join(FAILURES), {"range": {"@timestamp": waited}})
    # Those of the gateway have no id; more records than refused documents are no fault.
    recorded = _count(client, DEAD_LETTERS, {"range": {"@timestamp": day}}) if refused else 0
    problem = None
    if recorded < refused:
        problem = f"of {refused} refused documents of the last day {recorded} have a record"
    return Finding(f"records of refused documents in {DEAD_LETTERS}", problem, _COLLECT)


def _count(client: Elasticsearch, target: str, query: dict[str, object]) -> int:
    path = f"/{target}/_count?ignore_unavailable=true&allow_no_indices=true"
    return int(request(client, "POST", path, {"query": query})["count"])
