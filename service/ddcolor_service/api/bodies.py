"""Reading JSON bodies from strangers."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from ddcolor_service.errors import RequestRefusedError


async def read_json(request: web.Request, *, empty: object = None) -> Any:
    """Return the body as JSON; ``empty`` stands for no body, when it is given."""
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise RequestRefusedError("The body is too large", status=413) from None
    if not data.strip() and empty is not None:
        return empty
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RequestRefusedError(
            "The body is not JSON", details=str(error), error_type="invalid_json"
        ) from None


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the body as a JSON object; no body is an empty one."""
    body = await read_json(request, empty={})
    if not isinstance(body, dict):
        raise RequestRefusedError("The body must be a JSON object")
    return body
