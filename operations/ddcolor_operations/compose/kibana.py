"""Bring dashboards into Kibana, and believe nothing but its full success."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

_PAUSE_S = 1.0
_NAMED = 5


class KibanaError(Exception):
    """Kibana does not come up, or does not take a file whole; the text says what to do."""


def wait_available(url: str, timeout_s: float) -> None:
    """Wait until Kibana says that it is available; raises KibanaError with its last answer."""
    deadline = time.monotonic() + timeout_s
    with _session() as session:
        while (problem := _problem(session, url)) is not None:
            if time.monotonic() > deadline:
                raise KibanaError(
                    f"Kibana at {url} is not available after {timeout_s:.0f} s ({problem}). See its"
                    " log: docker compose logs kibana."
                )
            time.sleep(_PAUSE_S)


def import_dashboards(url: str, folder: Path, api_key: str) -> Mapping[str, int]:
    """Import each NDJSON file of ``folder``, over what is there; return name -> objects.

    Kibana answers 200 also when it took a part or nothing. Raises KibanaError unless each file was
    taken whole.
    """
    with _session() as session:
        session.headers["Authorization"] = f"ApiKey {api_key}"
        return {file.name: _import(session, url, file) for file in sorted(folder.glob("*.ndjson"))}


def _import(session: requests.Session, url: str, file: Path) -> int:
    content = file.read_bytes()
    # The last line of an export counts the others; it is no object.
    wanted = sum(
        1 for line in content.splitlines() if line.strip() and b'"exportedCount"' not in line
    )
    try:
        answer = session.post(
            f"{url}/api/saved_objects/_import",
            params={"overwrite": "true"},
            files={"file": (file.name, content, "application/x-ndjson")},
            timeout=120,
        )
        body = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise KibanaError(f"{file.name}: Kibana did not answer the import: {error}") from error
    if not isinstance(body, dict):
        body = {"message": str(body)}
    if answer.status_code != 200:
        reason = body.get("message") or answer.reason
        raise KibanaError(f"{file.name}: Kibana answered {answer.status_code}: {reason}")
    if body.get("success") is not True or body.get("successCount") != wanted:
        reasons = "; ".join(_reasons(body)) or "it gives no reason"
        raise KibanaError(
            f"{file.name}: Kibana took {body.get('successCount', 0)} of {wanted} objects: {reasons}"
        )
    return wanted


def _reasons(body: Mapping[str, Any]) -> Iterator[str]:
    errors = body.get("errors") or []
    for error in errors[:_NAMED]:
        detail = error.get("error", {})
        reason = detail.get("message") or detail.get("type") or "unknown"
        yield f"{error.get('type')} {error.get('id')}: {reason}"
    if len(errors) > _NAMED:
        yield f"and {len(errors) - _NAMED} more"


def _problem(session: requests.Session, url: str) -> str | None:
    """Return why Kibana is not available now, None if it is."""
    try:
        answer = session.get(f"{url}/api/status", timeout=5)
    except requests.RequestException as error:
        return type(error).__name__
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}"
    try:
        # Without a log-in, Kibana shows this one word and no more.
        level = answer.json()["status"]["overall"]["level"]
    except (ValueError, KeyError, TypeError):
        return "an answer that is not Kibana's"
    return None if level in ("available", "degraded") else f"status {level}"


def _session() -> requests.Session:
    session = requests.Session()
    # Kibana is a neighbour: a proxy of the environment must not come between.
    session.trust_env = False
    session.headers["kbn-xsrf"] = "ddcolor"
    return session
