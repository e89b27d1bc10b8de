"""Install the pipelines and templates of ``collector/elasticsearch`` before any data comes.

The gateway only logs a document that Elasticsearch refuses, and Elasticsearch refuses data for
which it has no template: so this runs before the collectors start.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

log = logging.getLogger(__name__)

_READY_POLL_S = 0.2
_HASH = "sha256"
# Folder of the JSON files -> REST resource. A template may only name what is there already.
_RESOURCES = {
    "ingest_pipelines": "_ingest/pipeline",
    "component_templates": "_component_template",
    "index_templates": "_index_template",
}


class SetupError(Exception):
    """Elasticsearch does not come up, or does not take or keep one of our resources."""


@dataclass(frozen=True, slots=True)
class Installed:
    """Names of what is in place; ``changed`` are those that were not before the call.

    ``retention`` says whether this Elasticsearch deletes data that is older than the templates'
    ``data_retention``.
    """

    ingest_pipelines: tuple[str, ...]
    component_templates: tuple[str, ...]
    index_templates: tuple[str, ...]
    changed: tuple[str, ...]
    retention: bool


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
    """Install every JSON file of ``folder`` under its file's name, then read all of them back.

    Can be repeated: what is there unchanged is left alone. Raises SetupError that names the
    resource and Elasticsearch's reason.
    """
    names: dict[str, tuple[str, ...]] = {}
    changed: list[str] = []
    for kind, resource in _RESOURCES.items():
        bodies = _read_bodies(folder / kind)
        names[kind] = tuple(bodies)
        for name, body in bodies.items():
            path = f"/{resource}/{name}"
            if _installed_hash(client, path) == body["_meta"][_HASH]:
                continue
            _put(client, path, body)
            if _installed_hash(client, path) != body["_meta"][_HASH]:
                raise SetupError(f"{path} was accepted by Elasticsearch but is not there.")
            changed.append(name)
    for template in names["index_templates"]:
        _check_effect(client, template, folder)
    retention = _has_retention(client)
    if not retention:
        log.warning(
            "This Elasticsearch has no data stream lifecycle: logs, traces and metrics are kept"
            " until somebody deletes them."
        )
    return Installed(**names, changed=tuple(changed), retention=retention)


def _read_bodies(folder: Path) -> dict[str, dict[str, Any]]:
    """Return name -> body, with a hash of the file in ``_meta`` by which it is recognised."""
    bodies: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.json")):
        content = file.read_bytes()
        try:
            body: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise SetupError(f"{file} is not JSON: {error}") from error
        digest = hashlib.sha256(content).hexdigest()
        body["_meta"] = {**body.get("_meta", {}), _HASH: digest}
        bodies[file.stem] = body
    if not bodies:
        raise SetupError(f"{folder} holds no JSON file. Set DDCOLOR_OBS_HOME to a whole checkout.")
    return bodies


def _put(client: Elasticsearch, path: str, body: dict[str, Any]) -> None:
    try:
        client.perform_request(
            "PUT",
            path,
            headers={"accept": "application/json", "content-type": "application/json"},
            body=body,
        )
    except (ApiError, TransportError) as error:
        raise SetupError(f"Elasticsearch does not take {path}: {_reason(error)}") from error


def _installed_hash(client: Elasticsearch, path: str) -> str | None:
    """Return the hash of the file that the resource was last installed from, None if it is new."""
    try:
        answer = client.perform_request("GET", path, headers={"accept": "application/json"}).body
    except ApiError as error:
        if error.status_code == 404:
            return None
        raise SetupError(f"{path} cannot be read: {_reason(error)}") from error
    except TransportError as error:
        raise SetupError(f"{path} cannot be read: {_reason(error)}") from error
    meta = _find_meta(answer)
    found = meta.get(_HASH) if meta else None
    return found if isinstance(found, str) else None


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


def _check_effect(client: Elasticsearch, template: str, folder: Path) -> None:
    """Check that a new data stream would really get our pipeline, whatever else is installed."""
    body = json.loads((folder / "index_templates" / f"{template}.json").read_bytes())
    stream = body["index_patterns"][0].replace("*", "default")
    try:
        answer = client.indices.simulate_index_template(name=stream).body
    except (ApiError, TransportError) as error:
        raise SetupError(f"{template} has no effect: {_reason(error)}") from error
    pipeline = answer["template"]["settings"]["index"].get("default_pipeline", "none")
    if not pipeline.startswith("ddcolor-"):
        raise SetupError(
            f"{stream} would use the pipeline {pipeline!r}: another index template with a higher"
            f" priority than that of {template} matches it. Delete it or lower its priority."
        )


def _has_retention(client: Elasticsearch) -> bool:
    """Say whether this Elasticsearch has the data stream lifecycle (a trimmed one does not)."""
    try:
        client.indices.get_data_lifecycle(name="logs-ddcolor.otel-*")
    except ApiError as error:
        # 404 with an error object: the lifecycle is there, only no data stream is yet.
        return error.status_code == 404
    except TransportError as error:
        raise SetupError(f"The lifecycle cannot be read: {_reason(error)}") from error
    return True


def _reason(error: ApiError | TransportError) -> str:
    """Return the innermost reason that Elasticsearch gives."""
    body: Any = error.body if isinstance(error, ApiError) else None
    cause = body.get("error") if isinstance(body, dict) else None
    reason = str(error)
    while isinstance(cause, dict):
        reason = str(cause.get("reason") or reason)
        cause = cause.get("caused_by")
    return reason
