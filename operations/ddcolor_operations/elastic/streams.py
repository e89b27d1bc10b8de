"""Our data streams as Elasticsearch has them, read in a way that every build answers.

The cluster's state tells it all. The REST interface of data streams, which would be the usual way,
belongs to a module that a trimmed build lacks.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elasticsearch import Elasticsearch

from ddcolor_operations.elastic.requests import get
from ddcolor_operations.elastic.resources import MADE_OF, Resources, Template

_STATE = "/_cluster/state/metadata?filter_path=metadata.data_stream.data_stream"
_SETTING = "data_streams.failure_store.enabled"
_SETTINGS = f"/_cluster/settings?flat_settings=true&filter_path=*.{_SETTING}"


@dataclass(frozen=True, slots=True)
class Index:
    """A backing index; ``made_of`` is the hash of the templates that it was made of."""

    name: str
    created: datetime
    size_bytes: int
    documents: int
    lifecycle: str | None
    made_of: str | None


@dataclass(frozen=True, slots=True)
class Stream:
    """A data stream of ours; its indices are in their order, the last is written to."""

    name: str
    template: Template
    indices: tuple[Index, ...]
    failures: tuple[Index, ...]
    failure_store: bool


def read_streams(client: Elasticsearch, resources: Resources) -> list[Stream]:
    """Return every data stream that one of our templates made, by name. Raises SetupError."""
    state = get(client, _STATE)
    found = state.get("metadata", {}).get("data_stream", {}).get("data_stream", {})
    switched_on = enabled_patterns(client) if found else []
    return sorted(_streams(client, resources, found, switched_on), key=lambda stream: stream.name)


def enabled_patterns(client: Elasticsearch) -> list[str]:
    """Return the data streams whose failure store the cluster's settings switch on."""
    settings = get(client, _SETTINGS)
    for level in ("transient", "persistent"):
        patterns = settings.get(level, {}).get(_SETTING)
        if patterns:
            return [patterns] if isinstance(patterns, str) else list(patterns)
    return []


def _streams(
    client: Elasticsearch,
    resources: Resources,
    found: Mapping[str, Mapping[str, Any]],
    switched_on: list[str],
) -> Iterator[Stream]:
    for name, entry in found.items():
        template = resources.template_of(name)
        if template is None:
            continue
        own = entry.get("options", {}).get("failure_store", {}).get("enabled")
        by_setting = any(fnmatch.fnmatchcase(name, pattern) for pattern in switched_on)
        yield Stream(
            name,
            template,
            tuple(_indices(client, name, entry["indices"])),
            tuple(_indices(client, f"{name}::failures", entry.get("failure_indices", []))),
            by_setting if own is None else bool(own),
        )


def _indices(
    client: Elasticsearch, expression: str, entries: list[Mapping[str, str]]
) -> Iterator[Index]:
    if not entries:
        return
    # By the stream and not by the indices' names, of which a request's line takes but some dozens.
    stats = get(client, f"/{expression}/_stats/store,docs?filter_path=indices.*.primaries")
    facts = get(
        client,
        f"/{expression}?filter_path=*.settings.index.creation_date,"
        "*.settings.index.lifecycle.name,*.mappings._meta",
    )
    # One that was deleted since the cluster's state was read is in none of the answers.
    for name in (entry["index_name"] for entry in entries if entry["index_name"] in facts):
        primaries = stats.get("indices", {}).get(name, {}).get("primaries", {})
        settings = facts[name]["settings"]["index"]
        yield Index(
            name,
            datetime.fromtimestamp(int(settings["creation_date"]) / 1000, UTC),
            int(primaries.get("store", {}).get("size_in_bytes", 0)),
            int(primaries.get("docs", {}).get("count", 0)),
            settings.get("lifecycle", {}).get("name"),
            facts[name].get("mappings", {}).get("_meta", {}).get(MADE_OF),
        )
