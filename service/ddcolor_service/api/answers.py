"""JSON answers: ComfyUI's error shape, filled from the error catalogue."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_service.errors import RequestRefusedError, ServiceFaultError

KIND: web.ResponseKey[str] = web.ResponseKey("kind", str)
"""Where an answer holds the catalogue kind of its error, for the request's span."""


def json_response(
    data: object, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return ``data`` as JSON; tuples, sets and foreign types become what JSON has."""
    body = orjson.dumps(data, default=_fallback, option=orjson.OPT_NON_STR_KEYS)
    return web.Response(
        body=body, status=status, content_type="application/json", charset="utf-8", headers=headers
    )


def _fallback(value: Any) -> Any:
    return list(value) if isinstance(value, set | frozenset) else str(value)


def error_response(
    error_type: str,
    message: str,
    *,
    kind: str,
    status: int = 400,
    details: str = "",
    node_errors: dict[str, Any] | None = None,
) -> web.Response:
    """Return an error in ComfyUI's shape; ``extra_info`` names the kind and what to do."""
    entry = CATALOGUE[kind]
    action = entry.user_action or entry.action
    body = {
        "error": {
            "type": error_type,
            "message": message,
            "details": details,
            "extra_info": {"kind": kind, "action": {"zh": action.zh, "en": action.en}},
        },
        "node_errors": node_errors or {},
    }
    headers = {"Retry-After": "5"} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    response = json_response(body, status=status, headers=headers)
    response[KIND] = kind
    return response


def refusal(error: RequestRefusedError, node_errors: dict[str, Any] | None = None) -> web.Response:
    """Return the answer to a refused request."""
    return error_response(
        error.error_type,
        error.message,
        kind=error.kind,
        status=error.status,
        details=error.details,
        node_errors=node_errors,
    )


def fault_response(error: ServiceFaultError, *, status: int = 400) -> web.Response:
    """Return the answer to a photo that cannot be taken."""
    kind = error.comfyui_error_kind
    return error_response(
        kind, CATALOGUE[kind].title.en, kind=kind, status=status, details=str(error)
    )
