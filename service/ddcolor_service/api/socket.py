"""``/ws``: the messages of prompts, as they happen."""

from __future__ import annotations

import re
import uuid

from aiohttp import web

from ddcolor_service.api.access import SOCKET_PROTOCOL, offered_protocols
from ddcolor_service.api.keys import service_of
from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.hub import encode
from ddcolor_service.service import status_of

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
_MAX_CLIENTS = 1000
_MAX_MESSAGE = 64 * 1024


async def get_ws(request: web.Request) -> web.StreamResponse:
    """Connect a client; it hears of the prompts that it sent with this client id."""
    service = service_of(request)
    offered = offered_protocols(request)
    if offered and SOCKET_PROTOCOL not in offered:
        # A browser would drop the connection; and aiohttp would log what was offered, tokens too.
        raise RequestRefusedError(
            "This subprotocol is not spoken here", details=f"Offer {SOCKET_PROTOCOL}, or none"
        )
    asked = request.query.get("clientId", "")
    client_id = asked if _CLIENT_ID.fullmatch(asked) else uuid.uuid4().hex
    if len(service.hub) >= _MAX_CLIENTS:
        raise web.HTTPServiceUnavailable(text="too many clients are connected")
    socket = web.WebSocketResponse(
        heartbeat=30.0,
        max_msg_size=_MAX_MESSAGE,
        compress=False,
        protocols=(SOCKET_PROTOCOL,) if offered else (),
    )
    await socket.prepare(request)
    greeting = [encode("status", {**status_of(service.queue), "sid": client_id})]
    running = service.worker.running_client()
    if running is not None and running[0] == client_id:
        # A client that comes back in the middle learns at once where its prompt is.
        greeting.append(
            encode(
                "executing",
                {"node": running[2], "display_node": running[2], "prompt_id": running[1]},
            )
        )
    await service.hub.serve(socket, client_id, greeting)
    return socket


def add_routes(app: web.Application, prefix: str) -> None:
    """Add these routes below ``prefix``."""
    app.router.add_get(f"{prefix}/ws", get_ws)
