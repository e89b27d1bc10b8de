"""Install what ``collector/elasticsearch`` holds, before any data comes and after each change.

The collectors' data waits in the agent's queue until the templates are there. Data streams that are
there already go on in a new index when their template has changed: only that has the new mapping.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ddcolor_operations.elastic.requests import has, reason, request
from ddcolor_operations.elastic.resources import HASH, Resource, Resources, SetupError, load
from ddcolor_operations.elastic.streams import Stream, enabled_patterns, read_streams

__all__ = ["Installed", "SetupError", "install", "readiness_problem", "wait_ready"]

_READY_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Installed:
    """What a call has done: each tuple has names, and is empty if all was in place.

    ``changed`` are resources that were put, ``rolled_over`` data streams that go on in a new index,
    ``switched_on`` those whose failure store was off. ``lifecycle_management`` says whether this
    Elasticsearch deletes old data by itself; where not, `ddcolor-obs data keep` has to run.
    """

    changed: tuple[str, ...]
    rolled_over: tuple[str, ...]
    switched_on: tuple[str, ...]
    lifecycle_management: bool


def wait_ready(client: Elasticsearch, timeout_s: float = 180.0) -> float:
    """Wait until Elasticsearch can take and answer requests; return the seconds it took.

    Raises SetupError with the last answer once ``timeout_s`` has passed.
    """
    started = time.monotonic()
    while (problem := readiness_problem(client)) is not None:
        waited = time.monotonic() - started
        if waited > timeout_s:
            raise SetupError(
                f"Elasticsearch is not ready after {waited:.0f} s ({problem}). See its log."
            )
        time.sleep(_READY_POLL_S)
    return time.monotonic() - started


def readiness_problem(client: Elasticsearch) -> str | None:
    """Return why Elasticsearch cannot take requests now, or None; answers within seconds.

    The port answers long before the cluster is ready, so a cluster state of yellow is asked for.
    """
    try:
        client.options(request_timeout=2).cluster.health(wait_for_status="yellow", timeout="1s")
    except (ApiError, TransportError) as error:
        return str(error)
    return None


def install(client: Elasticsearch, folder: Path) -> Installed:
    """Install every JSON file of ``folder`` under its file's name, and see that it has effect.

    Can be repeated: what is there unchanged is left alone. Raises SetupError that names the
    resource and Elasticsearch's reason.
    """
    resources, managed = read_resources(client, folder)
    changed = []
    for resource in resources.install:
        if installed_hash(client, resource) == resource.digest:
            continue
        request(client, "PUT", resource.path, resource.body)
        if installed_hash(client, resource) != resource.digest:
            raise SetupError(f"{resource.path} was accepted by Elasticsearch but is not there.")
        changed.append(resource.name)
    for template in resources.templates:
        problem = shadowed(client, f"{template.prefix}default", template.digest)
        if problem:
            raise SetupError(problem)
    streams = read_streams(client, resources)
    outdated = [stream for stream in streams if is_outdated(stream)]
    for stream in outdated:
        request(client, "POST", f"/{stream.name}/_rollover", {})
    without = [stream for stream in streams if lacks_failure_store(stream)]
    for stream in without:
        _switch_failure_store_on(client, stream.name)
    return Installed(
        tuple(changed),
        tuple(stream.name for stream in outdated),
        tuple(stream.name for stream in without),
        managed,
    )


def read_resources(client: Elasticsearch, folder: Path) -> tuple[Resources, bool]:
    """Return what belongs on this server, and whether it has lifecycle management (ILM)."""
    managed = has(client, "/_ilm/status")
    return load(folder, lifecycle_management=managed), managed


def is_outdated(stream: Stream) -> bool:
    """Say whether the index that is written to was made of other templates than today's."""
    return stream.indices[-1].made_of != stream.template.digest


def lacks_failure_store(stream: Stream) -> bool:
    """Say whether documents that the stream refuses would be gone."""
    return stream.template.failure_store and not stream.failure_store


def installed_hash(client: Elasticsearch, resource: Resource) -> str | None:
    """Return the hash of the file that the resource was last installed from, None if it is new."""
    try:
        headers = {"accept": "application/json"}
        answer = client.perform_request("GET", resource.path, headers=headers).body
    except ApiError as error:
        if error.status_code == 404:
            return None
        raise SetupError(f"{resource.path} cannot be read: {reason(error)}") from error
    except TransportError as error:
        raise SetupError(f"{resource.path} cannot be read: {reason(error)}") from error
    meta = _find_meta(answer)
    found = meta.get(HASH) if meta else None
    return found if isinstance(found, str) else None


def shadowed(client: Elasticsearch, stream: str, digest: str) -> str | None:
    """Say why a new data stream would not be made of our templates, None if it would be."""
    answer = request(client, "POST", f"/_index_template/_simulate_index/{stream}")
    meta = answer["template"].get("mappings", {}).get("_meta", {})
    if digest in meta.values():
        return None
    return (
        f"{stream} would not get our mapping: another index template with a higher priority matches"
        " it. Delete it or lower its priority."
    )


def _switch_failure_store_on(client: Elasticsearch, stream: str) -> None:
    """Switch it on for a data stream that is older than the template's option."""
    path = f"/_data_stream/{stream}/_options"
    if has(client, path):
        request(client, "PUT", path, {"failure_store": {"enabled": True}})
        return
    # The trimmed build has no such resource; the cluster's setting does the same.
    patterns = sorted({*enabled_patterns(client), stream})
    setting = {"data_streams.failure_store.enabled": patterns}
    request(client, "PUT", "/_cluster/settings", {"persistent": setting})


def _find_meta(answer: Any) -> dict[str, Any] | None:
    """Return the ``_meta`` of the one resource in the answer, whose shape differs by kind."""
    if isinstance(answer, dict):
        if isinstance(answer.get("_meta"), dict):
            return dict(answer["_meta"])
        answer = list(answer.values())
    if isinstance(answer, list):
        for value in answer:
            found = _find_meta(value)
            if found is not None:
                return found
    return None
