"""The watcher against an HTTP server that answers as ComfyUI does, without any code in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from comfyui_telemetry import semconv
from comfyui_telemetry.testing import Captured, capture, check_declared
from ddcolor_operations.comfyui.api import ApiError, ComfyApi
from ddcolor_operations.comfyui.watch import Pace, Watcher

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "2": {"class_type": "DDColor_Colorize", "inputs": {"image": ["1", 0]}},
}


class Outside:
    """What a ComfyUI shows: a queue, a history and a WebSocket that may be dumb."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.pending: list[str] = []
        self.history: dict[str, Any] = {}
        self.is_dumb = False
        self.is_down = False
        self.devices: Any = None
        self.connections = 0
        self.sockets: list[web.WebSocketResponse] = []
        self.app = web.Application(middlewares=[self._down])
        self.app.router.add_get("/queue", self._queue)
        self.app.router.add_get("/history", self._recent)
        self.app.router.add_get("/history/{prompt_id}", self._history)
        self.app.router.add_get("/system_stats", self._stats)
        self.app.router.add_get("/ws", self._ws)

    def end(self, prompt_id: str, last: str = "execution_success", **data: Any) -> None:
        """Move a prompt to the history; it took 1.5 s."""
        self.running = [one for one in self.running if one != prompt_id]
        messages = [
            ["execution_start", {"prompt_id": prompt_id, "timestamp": 1_700_000_000_000}],
            ["execution_cached", {"nodes": ["1"], "timestamp": 1_700_000_000_100}],
            [last, {"prompt_id": prompt_id, "timestamp": 1_700_000_001_500, **data}],
        ]
        self.history[prompt_id] = {
            "prompt": [0, prompt_id, GRAPH, {}, ["2"]],
            "outputs": {},
            "status": {"messages": messages},
        }

    async def say(self, kind: str, **data: Any) -> None:
        """Send a message to all that listen, unless the WebSocket has stalled."""
        for socket in self.sockets:
            if not self.is_dumb:
                await socket.send_json({"type": kind, "data": data})

    def status(self) -> dict[str, Any]:
        """Return the data of a status message."""
        remaining = len(self.running) + len(self.pending)
        return {"status": {"exec_info": {"queue_remaining": remaining}}}

    @web.middleware
    async def _down(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.is_down:
            raise web.HTTPBadGateway
        response: web.StreamResponse = await handler(request)
        return response

    async def _queue(self, _: web.Request) -> web.Response:
        def shown(ids: list[str]) -> list[Any]:
            return [[0, prompt_id, GRAPH, {}, ["2"]] for prompt_id in ids]

        body = {"queue_running": shown(self.running), "queue_pending": shown(self.pending)}
        return web.json_response(body)

    async def _recent(self, request: web.Request) -> web.Response:
        count = int(request.query["max_items"])
        return web.json_response(dict(list(self.history.items())[-count:]))

    async def _history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        found = self.history.get(prompt_id)
        return web.json_response({prompt_id: found} if found else {})

    async def _stats(self, _: web.Request) -> web.Response:
        if self.devices is None:
            raise web.HTTPInternalServerError
        return web.json_response({"system": {}, "devices": self.devices})

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        await socket.send_json({"type": "status", "data": self.status()})
        self.sockets.append(socket)
        async for _ in socket:
            pass
        self.sockets.remove(socket)
        return socket


async def _until(met: Callable[[], bool]) -> None:
    async def look() -> None:
        while not met():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(look(), 20)


@contextlib.asynccontextmanager
async def _watching(
    captured: Captured, outside: Outside, **pace: float
) -> AsyncIterator[Callable[..., Any]]:
    """Watch ``outside``; yields a coroutine function that waits for the n-th record of an event."""
    seconds: dict[str, Any] = {
        "interval": 0.02, "history": 0.05, "down": 0.05, "lag": 60.0, "silence": 60.0, **pace
    }  # fmt: skip
    async with TestServer(outside.app) as server, aiohttp.ClientSession() as session:
        api = ComfyApi(session, str(server.make_url("")), "watcher")
        task = asyncio.create_task(Watcher(captured.telemetry, api, Pace(**seconds)).run())

        async def record(event: str, number: int = 1) -> dict[str, Any]:
            await _until(lambda: len(captured.events(event)) >= number or task.done())
            assert not task.done(), task
            return captured.events(event)[number - 1]

        await record(semconv.EVENT_SERVICE_STARTED)
        await _until(lambda: bool(outside.sockets))
        yield record
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def outside() -> Outside:
    """Return a ComfyUI that has a finished prompt from before."""
    comfy = Outside()
    comfy.end("before")
    return comfy


async def test_a_prompt_is_followed_through_queue_and_history(
    captured: Captured, outside: Outside
) -> None:
    """Queued, started, finished with the server's own times; what was before is no news."""
    async with _watching(captured, outside) as record:
        outside.pending = ["p-1"]
        await record(semconv.EVENT_PROMPT_QUEUED)
        outside.pending, outside.running = [], ["p-1"]
        await record(semconv.EVENT_PROMPT_STARTED)
        outside.end("p-1")
        finished = await record(semconv.EVENT_PROMPT_FINISHED)
    assert finished[semconv.PROMPT_OUTCOME] == "success"
    cached = captured.record(semconv.EVENT_NODE_FINISHED)
    assert (cached[semconv.NODE_ID], cached[semconv.NODE_OUTCOME]) == ("1", "cached")
    own = [one for one in captured.records if semconv.EVENT_NAME in one]
    assert {one.get(semconv.PROMPT_ID) for one in own} == {None, "p-1"}
    assert check_declared(own, captured.spans, captured.metrics()) == []


@pytest.mark.parametrize(
    ("devices", "used"),
    [
        (None, None),
        ("odd", None),
        ([{"type": "cpu", "vram_total": 100, "vram_free": 1}], None),
        ([{"type": "cuda", "vram_total": 0, "vram_free": 0}, "odd", {}], None),
        (
            [
                {"type": "cuda", "vram_total": 80, "vram_free": 60},
                {"type": "cuda", "vram_total": 80, "vram_free": 20},
            ],
            0.75,
        ),
    ],
)
async def test_the_heartbeat_tells_the_queue_and_the_gpu(
    devices: Any, used: float | None, outside: Outside
) -> None:
    """How many prompts wait, the longest wait, and GPU memory where ComfyUI tells it."""
    outside.devices = devices
    outside.running, outside.pending = ["p-1"], ["p-2", "p-3"]
    with capture(service_heartbeat_s=0.05, role="observer") as captured:
        async with _watching(captured, outside) as record:
            first = await record(semconv.EVENT_SERVICE_HEARTBEAT)
            second = await record(semconv.EVENT_SERVICE_HEARTBEAT, 2)
    assert first[semconv.QUEUE_DEPTH] == second[semconv.QUEUE_DEPTH] == 2
    assert second[semconv.QUEUE_OLDEST_WAIT] > first[semconv.QUEUE_OLDEST_WAIT] >= 0
    assert second.get(semconv.HW_GPU_MEMORY_UTILIZATION) == used
    assert semconv.PROCESS_MEMORY_USAGE not in second
    assert check_declared([first, second]) == []


async def test_no_heart_beats_where_comfyui_is_down(outside: Outside) -> None:
    """It is ComfyUI's, not the watcher's."""
    with capture(service_heartbeat_s=0.01, role="observer") as captured:
        async with _watching(captured, outside) as record:
            await record(semconv.EVENT_SERVICE_HEARTBEAT)
            outside.is_down = True
            await record(semconv.EVENT_SERVICE_UNREACHABLE)
            beats = len(captured.events(semconv.EVENT_SERVICE_HEARTBEAT))
            outside.is_down = False
            await record(semconv.EVENT_SERVICE_STARTED, 2)
            await record(semconv.EVENT_SERVICE_HEARTBEAT, beats + 1)
        events = [one.get(semconv.EVENT_NAME) for one in captured.records]
    down = events.index(semconv.EVENT_SERVICE_UNREACHABLE)
    up = len(events) - 1 - events[::-1].index(semconv.EVENT_SERVICE_STARTED)
    assert semconv.EVENT_SERVICE_HEARTBEAT not in events[down:up]


async def test_prompts_between_two_looks_are_not_lost(captured: Captured, outside: Outside) -> None:
    """Many that came and went have one record each and the duration of the history."""
    async with _watching(captured, outside) as record:
        for number in range(40):
            outside.end(f"p-{number}")
        await record(semconv.EVENT_PROMPT_FINISHED, 40)
    finished = captured.events(semconv.EVENT_PROMPT_FINISHED)
    assert len({one[semconv.PROMPT_ID] for one in finished}) == 40
    assert {one[semconv.PROMPT_DURATION] for one in finished} == {1.5}
    assert finished[0]["@timestamp"].startswith("2023-11-14T22:13:21.5")


async def test_a_failure_is_said_once_with_its_node(captured: Captured, outside: Outside) -> None:
    """Class, message and kind come from the history; there is no record of the node itself."""
    async with _watching(captured, outside) as record:
        outside.end(
            "p-1",
            "execution_error",
            node_id="2",
            node_type="DDColor_Colorize",
            exception_type="torch.OutOfMemoryError",
            exception_message="Allocation on device\n",
            traceback=["  File x\n"],
        )
        finished = await record(semconv.EVENT_PROMPT_FINISHED)
    assert finished["message"] == ("Out of memory: node DDColor_Colorize (2): Allocation on device")
    assert finished[semconv.ERROR_KIND] == "out_of_memory"
    assert finished[semconv.ERROR_TYPE] == "torch.OutOfMemoryError"


async def test_a_prompt_that_is_taken_out_of_the_queue_is_told(
    captured: Captured, outside: Outside
) -> None:
    """It waited, and neither the queue nor the history has it any more."""
    async with _watching(captured, outside) as record:
        outside.pending = ["p-1", "p-2"]
        await record(semconv.EVENT_PROMPT_QUEUED, 2)
        outside.pending = ["p-2"]
        removed = await record(semconv.EVENT_PROMPT_REMOVED)
    assert (removed[semconv.PROMPT_ID], removed[semconv.PROMPT_OUTCOME]) == ("p-1", "removed")
    assert len(captured.events(semconv.EVENT_PROMPT_REMOVED)) == 1


async def test_an_interrupt_is_no_failure(captured: Captured, outside: Outside) -> None:
    """As inside ComfyUI."""
    async with _watching(captured, outside) as record:
        outside.end("p-1", "execution_interrupted", node_id="2")
        finished = await record(semconv.EVENT_PROMPT_FINISHED)
    assert (finished[semconv.PROMPT_OUTCOME], finished["log.level"]) == ("interrupted", "info")


@pytest.mark.parametrize("is_told", [True, False])
async def test_with_the_clients_id_nodes_are_seen(
    captured: Captured, outside: Outside, is_told: bool
) -> None:
    """Messages about nodes make their spans; the failed one says the fault, once.

    ``is_told``: by the WebSocket, which then says that no node runs; else by the history alone.
    """
    failure = {
        "node_id": "2", "node_type": "DDColor_Colorize",
        "exception_type": "ValueError", "exception_message": "no",
    }  # fmt: skip
    async with _watching(captured, outside) as record:
        outside.running = ["p-1"]
        await record(semconv.EVENT_PROMPT_STARTED)
        await outside.say("executing", node="1", prompt_id="p-1")
        await outside.say("executing", node="2", prompt_id="p-1")
        await record(semconv.EVENT_NODE_STARTED, 2)
        if is_told:
            await outside.say("execution_error", prompt_id="p-1", **failure)
            await outside.say("executing", node=None, prompt_id="p-1")
            await record(semconv.EVENT_NODE_FINISHED, 2)
        outside.end("p-1", "execution_error", **failure)
        finished = await record(semconv.EVENT_PROMPT_FINISHED)
    outcomes = {
        (one[semconv.NODE_ID], one[semconv.NODE_OUTCOME])
        for one in captured.events(semconv.EVENT_NODE_FINISHED)
    }
    assert outcomes == {("1", "executed"), ("1", "cached"), ("2", "failed")}
    assert finished["message"] == "Prompt failed in node DDColor_Colorize (2)"
    assert finished[semconv.ERROR_KIND] == "execution_error"


async def test_a_hang_is_said_when_all_sources_agree(captured: Captured, outside: Outside) -> None:
    """Once, while the prompt runs, asking the WebSocket by a new connection."""
    async with _watching(captured, outside, silence=0.1) as record:
        outside.running = ["p-1"]
        stalled = await record(semconv.EVENT_PROMPT_STALLED)
        assert outside.connections >= 2
        outside.end("p-1")
        await record(semconv.EVENT_PROMPT_FINISHED)
    assert stalled["message"].startswith("Inference timeout: no progress of the prompt for ")
    assert stalled[semconv.ERROR_KIND] == "inference_timeout"
    assert len(captured.events(semconv.EVENT_PROMPT_STALLED)) == 1


async def test_a_silent_websocket_is_no_hang(
    captured: Captured, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the new connection says that nothing is left, the sources differ: nothing is said."""
    nothing = {"status": {"exec_info": {"queue_remaining": 0}}}
    async with _watching(captured, outside, silence=0.1) as record:
        monkeypatch.setattr(outside, "status", lambda: nothing)
        before = outside.connections
        outside.running = ["p-1"]
        await record(semconv.EVENT_PROMPT_STARTED)
        await _until(lambda: outside.connections >= before + 3)
        outside.end("p-1")
        await record(semconv.EVENT_PROMPT_FINISHED)
    assert captured.events(semconv.EVENT_PROMPT_STALLED) == []


async def test_a_stalled_websocket_is_opened_anew(captured: Captured, outside: Outside) -> None:
    """Prompts succeed while it says nothing: that is its fault, and no prompt is lost."""
    async with _watching(captured, outside, lag=0.1) as record:
        outside.is_dumb = True
        outside.running = ["p-1"]
        degraded = await record(semconv.EVENT_TELEMETRY_DEGRADED)
        outside.end("p-1")
        await record(semconv.EVENT_PROMPT_FINISHED)
    assert degraded[semconv.TELEMETRY_REASON] == "websocket_stalled"
    assert captured.events(semconv.EVENT_PROMPT_STALLED) == []


async def test_a_service_that_is_gone_is_said_once(captured: Captured, outside: Outside) -> None:
    """And again when it answers; what ran then has failed, what waited is forgotten."""
    async with _watching(captured, outside) as record:
        outside.running, outside.pending = ["p-1"], ["p-2"]
        await record(semconv.EVENT_PROMPT_QUEUED, 2)
        outside.is_down = True
        down = await record(semconv.EVENT_SERVICE_UNREACHABLE)
        outside.running, outside.pending, outside.is_down = [], [], False
        await record(semconv.EVENT_SERVICE_STARTED, 2)
        finished = await record(semconv.EVENT_PROMPT_FINISHED)
    assert down["message"].startswith("Service down: ComfyUI has not answered for 0.05 s (")
    assert down[semconv.ERROR_KIND] == "service_down"
    assert finished[semconv.PROMPT_ID] == "p-1"
    assert finished[semconv.PROMPT_OUTCOME] == "failed"
    assert len(captured.events(semconv.EVENT_SERVICE_UNREACHABLE)) == 1


async def test_odd_answers_do_not_end_the_watch(captured: Captured, outside: Outside) -> None:
    """An entry of no known form and messages of none are passed over; what is good is used."""
    async with _watching(captured, outside) as record:
        await outside.say("executing", prompt_id={"a": 1})
        for socket in outside.sockets:
            await socket.send_str("nonsense")
            await socket.send_str("[]")
            await socket.send_bytes(b"a preview")
        outside.history["odd"] = {"prompt": "?", "status": {"messages": ["x", [1], [2, 3]]}}
        outside.history["older"] = {"prompt": [0, "older", GRAPH], "outputs": {"2": {}}}
        await record(semconv.EVENT_PROMPT_FINISHED, 2)
    outcomes = {
        one[semconv.PROMPT_ID]: one[semconv.PROMPT_OUTCOME]
        for one in captured.events(semconv.EVENT_PROMPT_FINISHED)
    }
    assert outcomes == {"odd": "failed", "older": "success"}


async def test_what_is_no_comfyui_is_not_taken_for_one() -> None:
    """A server that answers something else is as good as none, and the message says so."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response([])

    app = web.Application()
    app.router.add_get("/queue", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        api = ComfyApi(session, str(server.make_url("")), "watcher")
        with pytest.raises(ApiError, match="answers no object: is it a ComfyUI"):
            await api.queue()
        with pytest.raises(ApiError, match="GET /history answers 404"):
            await api.recent(3)
        with pytest.raises(ApiError):
            await api.websocket()
