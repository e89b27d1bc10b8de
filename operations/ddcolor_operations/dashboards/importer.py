"""Imports the built dashboards into a Kibana, and believes only a full success."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

_TIMEOUT_S = 60.0


class ImportFailedError(Exception):
    """Kibana did not take every object; the message lists what it says."""


@dataclass(frozen=True, slots=True)
class Kibana:
    """Where Kibana is (with ``/s/SPACE`` for a space), and how to be let in."""

    url: str
    api_key: str | None = None
    ca_certs: Path | None = None


def import_objects(kibana: Kibana, ndjson: bytes) -> int:
    """Import the file, replacing what is there; return how many objects Kibana has taken.

    Raises ImportFailedError unless Kibana says ``success`` and counts as many objects as were
    sent: it answers 200 also when it refused some of them.
    """
    sent = len(ndjson.splitlines())
    headers = {"kbn-xsrf": "ddcolor-obs"}
    if kibana.api_key:
        # Sent as it is, it would be refused with an exception that quotes it.
        if not kibana.api_key.isascii() or not kibana.api_key.isprintable():
            raise ImportFailedError(
                "The API key is not one line of plain text: put the key alone into its file."
            )
        headers["Authorization"] = f"ApiKey {kibana.api_key}"
    where = f"{kibana.url.rstrip('/')}/api/saved_objects/_import"
    try:
        answer = requests.post(
            where,
            params={"overwrite": "true"},
            headers=headers,
            files={"file": ("kibana.ndjson", ndjson, "application/ndjson")},
            verify=str(kibana.ca_certs) if kibana.ca_certs else True,
            timeout=_TIMEOUT_S,
        )
    except requests.RequestException as error:
        raise ImportFailedError(f"Kibana cannot be reached at {kibana.url}: {error}") from error
    body = _body(answer)
    if answer.status_code != 200:
        raise ImportFailedError(
            f"Kibana answers {answer.status_code}: {body.get('message', answer.text[:500])}."
            + _hint(answer.status_code)
        )
    if body.get("success") is not True or body.get("successCount") != sent:
        errors = "; ".join(map(_error, body.get("errors", ()))) or "it gives no reason"
        raise ImportFailedError(
            f"Kibana took {body.get('successCount', 0)} of {sent} objects: {errors}"
        )
    return sent


def _body(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _hint(status: int) -> str:
    hints = {
        401: " Check the API key.",
        403: " The key needs Kibana's privileges to write saved objects.",
        404: " Check the address: a base path or a space (/s/NAME) may be missing.",
        422: " This Kibana is older than 8.12.",
    }
    return hints.get(status, "")


def _error(error: Any) -> str:
    reason = error.get("error", {})
    detail = reason.get("message") or reason.get("type") or "unknown"
    missing = ", ".join(ref.get("id", "?") for ref in reason.get("references", ()))
    return f"{error.get('type')} {error.get('id')}: {detail}" + (f" ({missing})" if missing else "")
