"""The HTTP interface: alerts come in, and can be looked at."""

from __future__ import annotations

import asyncio
import hmac
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from aiohttp import web

from ddcolor_operations.notifier import deliveries, history, paths, silences
from ddcolor_operations.notifier.acknowledgements import Acknowledged, Acknowledgement
from ddcolor_operations.notifier.alert import Alert, AlertError, parse_rfc3339, to_rfc3339
from ddcolor_operations.notifier.paths import Beat
from ddcolor_operations.notifier.secrets import SecretError
from ddcolor_operations.notifier.service import Notifier
from ddcolor_operations.notifier.silences import Silence

T = TypeVar("T")

_BODY_LIMIT = 256 * 1024
_LIST_DEFAULT, _LIST_LIMIT = 1000, 10_000
_UNUSED = {
    "pending": 0,
    "failing": 0,
    "dead": 0,
    "died_lately": 0,
    "last_delivered_at": None,
    "blocked_until": None,
}
_NOTIFIER = web.AppKey("notifier", Notifier)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(notifier: Notifier) -> web.Application:
    """Return the application that serves ``notifier``."""
    app = web.Application(
        middlewares=[_errors_as_json, _authenticated], client_max_size=_BODY_LIMIT
    )
    app[_NOTIFIER] = notifier
    app.add_routes(
        [
            web.post("/alerts", _post_alert),
            web.get("/alerts", _list_alerts),
            web.get("/alerts/{id}", _show_alert),
            web.post("/alerts/retry", _retry_all),
            web.post("/alerts/ack", _acknowledge_fault),
            web.post("/alerts/{id}/retry", _retry_alert),
            web.post("/alerts/{id}/ack", _acknowledge_alert),
            web.get("/episodes", _list_open),
            web.post("/heartbeats", _post_beat),
            web.get("/heartbeats", _list_paths),
            web.delete("/heartbeats/{path}", _forget_path),
            web.post("/silences", _post_silence),
            web.get("/silences", _list_silences),
            web.delete("/silences/{number}", _end_silence),
            web.get("/healthz", _health),
        ]
    )
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except AlertError as error:
        return _error(400, str(error))
    except web.HTTPRequestEntityTooLarge:
        return _error(413, f"the body is larger than {_BODY_LIMIT} bytes: send a shorter summary")
    except web.HTTPException as error:
        return _error(error.status, f"{request.method} {request.path}: {error.reason}")
    except sqlite3.Error as error:
        # The sender keeps the alert and tries again: it was not taken.
        return _error(503, f"the outbox cannot be written: {error}: check the notifier's disk")


@web.middleware
async def _authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ask for the token, if there is one; only the health page is for everybody.

    Whoever looks after the process has to see whether it lives; no alert can be read there.
    """
    secret = request.app[_NOTIFIER].config.api_token
    if secret is None or request.path == "/healthz":
        return await handler(request)
    try:
        wanted = f"Bearer {secret.reveal()}".encode()
    except SecretError as error:
        return _error(503, f"the token cannot be read: {error}")
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(wanted, given):
        reply = _error(401, "this notifier asks for a token: send Authorization: Bearer TOKEN")
        reply.headers["WWW-Authenticate"] = "Bearer"
        return reply
    return await handler(request)


async def _json(request: web.Request) -> object:
    # A browser sends other types without asking: a page must not be able to raise alerts.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="send Content-Type application/json")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise AlertError(f"the body is not JSON ({error}): send one JSON object") from None


async def _post_alert(request: web.Request) -> web.Response:
    alert = Alert.from_json(await _json(request))
    status = await request.app[_NOTIFIER].take(alert)
    return web.json_response({"alert_id": alert.alert_id, "status": status}, status=202)


async def _list_alerts(request: web.Request) -> web.Response:
    since = request.query.get("since")
    # A "+" of a zone offset that was not encoded arrives as a space.
    start = parse_rfc3339(since.replace(" ", "+"), "since").timestamp() if since else 0.0
    limit = _limit(request.query.get("limit"))
    alerts, more = await _on_disk(request, lambda c: history.list_alerts(c, start, limit))
    return web.json_response({"alerts": alerts, "more": more})


async def _show_alert(request: web.Request) -> web.Response:
    return web.json_response(await _one(request))


async def _retry_all(request: web.Request) -> web.Response:
    revived = await request.app[_NOTIFIER].retry(None, _channel(request))
    return web.json_response({"revived": revived})


async def _retry_alert(request: web.Request) -> web.Response:
    alert_id = (await _one(request))["alert_id"]
    revived = await request.app[_NOTIFIER].retry(alert_id, _channel(request))
    return web.json_response({"alert_id": alert_id, "revived": revived})


async def _acknowledge_alert(request: web.Request) -> web.Response:
    given = Acknowledgement.from_json(await _json(request), of_alert=True)
    alert_id = (await _one(request))["alert_id"]
    return _acknowledged(await request.app[_NOTIFIER].acknowledge(alert_id, given))


async def _acknowledge_fault(request: web.Request) -> web.Response:
    given = Acknowledgement.from_json(await _json(request), of_alert=False)
    return _acknowledged(await request.app[_NOTIFIER].acknowledge(None, given))


def _acknowledged(taken: Sequence[Acknowledged]) -> web.Response:
    if not taken:
        return _error(409, "nothing to acknowledge: the fault is over, or was silenced")
    return web.json_response({"acknowledged": [one.to_json() for one in taken]})


async def _list_open(request: web.Request) -> web.Response:
    return web.json_response({"episodes": await _on_disk(request, history.list_open)})


async def _post_beat(request: web.Request) -> web.Response:
    beat = Beat.from_json(await _json(request))
    state = await request.app[_NOTIFIER].beat(beat)
    return web.json_response({"path": beat.path, "status": state}, status=202)


async def _list_paths(request: web.Request) -> web.Response:
    return web.json_response({"paths": await _paths(request)})


async def _forget_path(request: web.Request) -> web.Response:
    path = request.match_info["path"]
    if not await request.app[_NOTIFIER].forget_path(path):
        raise web.HTTPNotFound(reason="no heartbeat has come by this path")
    return web.json_response({"path": path})


async def _paths(request: web.Request) -> dict[str, Any]:
    now, silent_s = time.time(), request.app[_NOTIFIER].config.path_silent_s
    return await _on_disk(request, lambda c: paths.list_paths(c, now, silent_s))


def _channel(request: web.Request) -> str | None:
    channel = request.query.get("channel")
    known = request.app[_NOTIFIER].channel_names
    if channel is not None and channel not in known:
        raise AlertError(f"channel: {channel[:40]!r} is none of {', '.join(known)}")
    return channel


async def _post_silence(request: web.Request) -> web.Response:
    silence = Silence.from_json(await _json(request))
    now = time.time()
    number = await _on_disk(request, lambda c: silences.add_silence(c, silence, now))
    return web.json_response({"id": number, "until": to_rfc3339(now + silence.seconds)}, status=201)


async def _list_silences(request: web.Request) -> web.Response:
    now = time.time()
    shown = await _on_disk(request, lambda c: silences.list_silences(c, now))
    return web.json_response({"silences": shown})


async def _end_silence(request: web.Request) -> web.Response:
    text = request.match_info["number"]
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    now = time.time()
    if not await _on_disk(request, lambda c: silences.end_silence(c, number, now)):
        raise web.HTTPNotFound(reason="no such silence is in force")
    return web.json_response({"id": number, "until": to_rfc3339(now)})


async def _health(request: web.Request) -> web.Response:
    notifier = request.app[_NOTIFIER]
    now = time.time()
    states = await _on_disk(request, lambda c: deliveries.channel_states(c, now))
    channels = {name: states.get(name, _UNUSED) for name in notifier.channel_names}
    # A channel that was taken out of the configuration delivers nothing any more: what still waits
    # for it must be seen.
    channels |= {
        name: state | {"failing": state["pending"]}
        for name, state in states.items()
        if name not in channels and state["pending"]
    }
    ways = await _paths(request)
    failing = any(s["failing"] or s["died_lately"] or s["blocked_until"] for s in channels.values())
    silent = any(way["silent"] for way in ways.values())
    return web.json_response(
        {
            "status": "degraded" if failing or silent else "ok",
            "channels": channels,
            "paths": ways,
        }
    )


async def _one(request: web.Request) -> dict[str, Any]:
    prefix = request.match_info["id"]
    if len(prefix) < 4 or len(prefix) > 32 or set(prefix) - set("0123456789abcdef"):
        raise AlertError(f"id: {prefix[:40]!r} is not 4 to 32 lower-case hex digits")
    found = await _on_disk(request, lambda c: history.find_alerts(c, prefix))
    if not found:
        raise web.HTTPNotFound(reason="no such alert")
    if len(found) > 1:
        raise AlertError(f"id: {prefix!r} fits several alerts: give more digits")
    return found[0]


def _limit(text: str | None) -> int:
    if text is None:
        return _LIST_DEFAULT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LIST_LIMIT:
        raise AlertError(f"limit: {text[:20]!r} is not within 1 and {_LIST_LIMIT}")
    return int(text)


async def _on_disk(request: web.Request, operation: Callable[[sqlite3.Connection], T]) -> T:
    return await asyncio.wrap_future(request.app[_NOTIFIER].database.submit(operation))


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
