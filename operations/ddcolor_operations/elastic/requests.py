"""Plain requests to Elasticsearch, where builds differ or the client has no method for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ddcolor_operations.elastic.resources import SetupError

_UNAVAILABLE = 503
_HEADERS = {"accept": "application/json", "content-type": "application/json"}


class NotYetError(SetupError):
    """An index has just been made and its shard is about to start: the same soon succeeds."""


def get(client: Elasticsearch, path: str) -> dict[str, Any]:
    """Return the answer to a GET. Raises SetupError with Elasticsearch's reason."""
    return request(client, "GET", path)


def request(
    client: Elasticsearch, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the answer to a request. Raises SetupError with Elasticsearch's reason."""
    try:
        answer = client.perform_request(
            method, path, headers=_HEADERS if body is not None else {"accept": "application/json"},
            body=body,
        )  # fmt: skip
    except (ApiError, TransportError) as error:
        text = f"Elasticsearch refuses {method} {path}: {reason(error)}"
        if isinstance(error, ApiError) and error.status_code == _UNAVAILABLE:
            raise NotYetError(text) from error
        raise SetupError(text) from error
    return dict(answer.body)


def has(client: Elasticsearch, path: str) -> bool:
    """Say whether this build of Elasticsearch knows the resource at all.

    A build without it answers 400 (no handler) or 405; 404 and 403 come from one that has it.
    """
    try:
        client.perform_request("GET", path, headers={"accept": "application/json"})
    except ApiError as error:
        return error.status_code not in {400, 405}
    except TransportError as error:
        raise SetupError(f"Elasticsearch does not answer to {path}: {reason(error)}") from error
    return True


def reason(error: ApiError | TransportError) -> str:
    """Return the innermost reason that Elasticsearch gives."""
    body: Any = error.body if isinstance(error, ApiError) else None
    cause = body.get("error") if isinstance(body, dict) else None
    if isinstance(cause, str):
        return cause
    text = str(error)
    while isinstance(cause, dict):
        text = str(cause.get("reason") or text)
        cause = cause.get("caused_by")
    return text
