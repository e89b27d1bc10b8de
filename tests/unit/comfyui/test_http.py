"""The HTTP hooks in a real aiohttp application, as ComfyUI's server makes one."""

from __future__ import annotations

import sys
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from comfyui_telemetry import semconv
from comfyui_telemetry.comfyui.hooks import Hooks, install
from comfyui_telemetry.comfyui.http import HEALTH_ROUTE
from comfyui_telemetry.testing import Captured, check_declared
from tests.support.telemetry import span_id
from tests.unit.comfyui.conftest import Comfy

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
pytestmark = pytest.mark.parametrize("era", ["v0_33"])


@asynccontextmanager
async def _client(comfy: Comfy) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Serve what ComfyUI serves: /prompt from the route table, everything under /api as well."""
    instance = comfy.server.PromptServer.instance

    async def post_prompt(request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("crash"):
            raise RuntimeError("the server failed")
        if "prompt" not in body:
            return web.json_response({"error": {"type": "no_prompt", "message": "No"}}, status=400)
        valid = await comfy.module.validate_prompt("p-1", body["prompt"], None)
        if not valid[0]:
            return web.json_response({"error": valid[1], "node_errors": valid[3]}, status=400)
        comfy.queue.put((0, "p-1", body["prompt"], {}, valid[2], {}))
        return web.json_response({"prompt_id": "p-1"})

    instance.routes.post("/prompt")(post_prompt)
    instance.app.add_routes(instance.routes)
    async with TestClient(TestServer(instance.app)) as client:
        yield client


@pytest.mark.usefixtures("hooks")
async def test_a_callers_trace_goes_on(comfy: Comfy, captured: Captured) -> None:
    """The request is a child of the caller's span, the queued prompt of the request."""
    prompt = {"9": {"class_type": "Save", "inputs": {}}}
    async with _client(comfy) as client:
        headers = {"Traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = await client.post("/prompt", json={"prompt": prompt}, headers=headers)
        assert answer.status == 200
    server = captured.span("POST /prompt")
    assert format(server.context.trace_id if server.context else 0, "032x") == TRACE
    assert captured.record(semconv.EVENT_PROMPT_QUEUED)["trace_id"] == TRACE
    assert captured.record(semconv.EVENT_PROMPT_QUEUED)["span_id"] == f"{span_id(server):016x}"
    own = [record for record in captured.records if semconv.EVENT_NAME in record]
    assert check_declared(own, captured.spans) == []


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize(
    ("body", "status", "error_type"),
    [
        (b"{nope", 500, "json.decoder.JSONDecodeError"),
        (b"{}", 400, "no_prompt"),
        (b'{"prompt": {"1": {"class_type": "Nope", "inputs": {}}}}', 400, "invalid_prompt"),
        (b'{"prompt": {"nodes": [], "links": []}}', 500, "TypeError"),
        (b'{"crash": 1, "prompt": [1, 2]}', 500, "RuntimeError"),
        (b'{"crash": 1, "prompt": {"1": 5}}', 500, "RuntimeError"),
    ],
)
async def test_a_refusal_is_told_once(
    comfy: Comfy, captured: Captured, body: bytes, status: int, error_type: str
) -> None:
    """Whoever refuses it, the answer is ComfyUI's own and one record says why."""
    async with _client(comfy) as client:
        answer = await client.post("/prompt", data=body)
        assert answer.status == status
    assert captured.record(semconv.EVENT_PROMPT_REJECTED)[semconv.ERROR_TYPE] == error_type
    assert captured.events(semconv.EVENT_REQUEST_FAILED) == []


@pytest.mark.usefixtures("hooks")
async def test_a_fault_of_the_server_is_an_error(comfy: Comfy, captured: Captured) -> None:
    """What the handler itself raises is said with its stack, and is no rejection."""
    async with _client(comfy) as client:
        graph = {"1": {"class_type": "Number", "inputs": {}}}
        answer = await client.post("/prompt", json={"crash": 1, "prompt": graph})
        assert answer.status == 500
    record = captured.record(semconv.EVENT_REQUEST_FAILED)
    assert record[semconv.ERROR_TYPE] == "RuntimeError"
    assert captured.events(semconv.EVENT_PROMPT_REJECTED) == []


async def test_health_tells_the_hooks_and_leaves_with_them(
    comfy: Comfy, captured: Captured, hooks: Hooks
) -> None:
    """200 with the active hooks; after uninstall a running server answers 404."""
    async with _client(comfy) as client:
        answer = await (await client.get(HEALTH_ROUTE)).json()
        assert answer["status"] == "ok"
        assert answer["hooks"] == hooks.active
        assert answer["missing"] == {}
        # The application is frozen now, so the middleware has to stay, passing through.
        assert not hooks.uninstall()
        assert (await client.get(HEALTH_ROUTE)).status == 404
        assert (await client.post("/prompt", data=b"{}")).status == 400
    assert captured.spans == ()


async def test_the_route_can_be_left_out(comfy: Comfy, captured: Captured) -> None:
    """With health_route=False there is none."""
    placed = install(captured.telemetry, health_route=False)
    try:
        async with _client(comfy) as client:
            assert (await client.get(HEALTH_ROUTE)).status == 404
    finally:
        placed.uninstall()


async def test_a_frozen_application_has_no_request_hook(
    comfy: Comfy, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed too late, the hook is said to be missing and the server is untouched."""
    app: Any = web.Application()
    app.freeze()
    instance = types.SimpleNamespace(app=app, routes=web.RouteTableDef())
    server = types.SimpleNamespace(PromptServer=types.SimpleNamespace(instance=instance))
    monkeypatch.setitem(sys.modules, "server", server)
    placed = install(captured.telemetry)
    try:
        assert placed.missing == {"requests": "the HTTP application is frozen already"}
    finally:
        assert placed.uninstall()
