"""Follow a ComfyUI from the outside: its queue and history by HTTP, its WebSocket for news.

The WebSocket tells of every change of the queue, and of the nodes of prompts that were sent with
our own client id; it may fall silent while prompts succeed. So it only says when to look: what is
true is in ``/queue`` and ``/history``. A hang is said when all agree: the queue shows the prompt
running, the history does not have it, and a new WebSocket connection says that work is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from comfyui_telemetry import Telemetry, semconv
from comfyui_telemetry.catalogue import CATALOGUE

from .api import ApiError, ComfyApi
from .observed import Observed

_RECENT, _RECENT_AT_MOST = 8, 1_024
_WEBSOCKET_RETRY_S = 3.0
_STATUS_S = 5.0
_BEGINNINGS = ("execution_start", "execution_cached")


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds.

    ``interval`` between looks at the queue, ``history`` between looks at the history while nothing
    seems to happen, ``silence`` of a prompt after which a hang is suspected, ``lag`` that a
    WebSocket may have behind the queue, ``down`` without an answer until that is an alert.
    """

    interval: float = 2.0
    history: float = 10.0
    silence: float = 300.0
    lag: float = 30.0
    down: float = 15.0


class Watcher:
    """Watches one ComfyUI until its task is cancelled."""

    def __init__(self, telemetry: Telemetry, api: ComfyApi, pace: Pace) -> None:
        self._telemetry = telemetry
        self._log = telemetry.logger("ddcolor_operations.comfyui.watch")
        self._api = api
        self._pace = pace
        self._observed = Observed(telemetry)
        self._news = asyncio.Event()
        self._websocket: aiohttp.ClientWebSocketResponse | None = None
        self._heard = 0.0
        self._changed = 0.0
        self._ids: frozenset[str] = frozenset()
        self._answered = time.monotonic()
        self._is_down = False
        self._began = False
        self._beat_due = 0.0
        self._history_due = 0.0

    async def run(self) -> None:
        """Look and listen side by side; both go on whatever ComfyUI does."""
        tasks = [
            asyncio.ensure_future(work) for work in (self._look_forever(), self._listen_forever())
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_forever(self) -> None:
        while True:
            try:
                await self.look()
            except ApiError as error:
                self._not_answered(str(error))
            except Exception as error:  # noqa: BLE001 - one odd answer must not end the watch
                self._log.error(
                    "What ComfyUI tells could not be used",
                    event_name=semconv.EVENT_TELEMETRY_DEGRADED,
                    exc_info=error,
                )
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._pace.interval)
            self._news.clear()

    async def look(self) -> None:
        """Look at the queue and the history once. Errors: ``ApiError``."""
        queue = await self._api.queue()
        if not self._began:
            # What ended before is history, what is in the queue now is watched to its end.
            self._observed.forget(await self._api.recent(_RECENT_AT_MOST))
        self._has_answered()
        if queue.ids != self._ids:
            self._ids, self._changed = queue.ids, time.monotonic()
            self._history_due = 0.0
        left = self._observed.queue(queue)
        await self._beat()
        if time.monotonic() >= self._history_due:
            self._history_due = time.monotonic() + self._pace.history
            await self._take_history()
        for prompt_id in left:
            if not self._observed.known(prompt_id):
                entry = await self._api.history(prompt_id)
                if entry is None:
                    self._observed.missing(prompt_id)
                else:
                    self._observed.ended(prompt_id, entry)
        self._check_websocket()
        for prompt_id, silent_s in self._observed.running():
            if silent_s >= self._pace.silence and await self._all_agree(prompt_id):
                self._observed.stalled(prompt_id)

    async def _take_history(self) -> None:
        """Take what has ended since the last look, also prompts that no look saw in the queue."""
        count = _RECENT
        while True:
            recent = await self._api.recent(count)
            news = [prompt_id for prompt_id in recent if not self._observed.known(prompt_id)]
            if len(news) < len(recent) or len(recent) < count or count >= _RECENT_AT_MOST:
                break
            count *= 4
        for prompt_id in news:
            self._observed.ended(prompt_id, recent[prompt_id])

    async def _all_agree(self, prompt_id: str) -> bool:
        """Ask every source anew whether the prompt still runs."""
        try:
            remaining = await self._remaining_by_new_websocket()
            queue = await self._api.queue()
            entry = await self._api.history(prompt_id)
        except ApiError:
            return False
        runs = any(item.prompt_id == prompt_id for item in queue.running)
        return runs and entry is None and remaining is not None and remaining > 0

    async def _remaining_by_new_websocket(self) -> int | None:
        """Return how many prompts a new connection says are left; None if it says nothing."""
        websocket = await self._api.websocket()
        try:
            return await asyncio.wait_for(_first_status(websocket), _STATUS_S)
        except asyncio.TimeoutError:
            return None
        finally:
            await websocket.close()

    def _check_websocket(self) -> None:
        """Drop a connection that did not tell of a change of the queue: it has stalled."""
        websocket = self._websocket
        if websocket is None or self._changed <= self._heard:
            return
        if time.monotonic() - self._changed > self._pace.lag:
            self._log.warning(
                "The WebSocket is silent while the queue changes; it is opened anew",
                event_name=semconv.EVENT_TELEMETRY_DEGRADED,
                **{semconv.TELEMETRY_REASON: "websocket_stalled"},
            )
            self._websocket = None
            task = asyncio.ensure_future(websocket.close())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _listen_forever(self) -> None:
        while True:
            with contextlib.suppress(ApiError, aiohttp.ClientError, OSError):
                await self._listen()
            await asyncio.sleep(_WEBSOCKET_RETRY_S)

    async def _listen(self) -> None:
        websocket = self._websocket = await self._api.websocket()
        try:
            async for message in websocket:
                kind, data = _read(message)
                self._heard = time.monotonic()
                if kind == "status":
                    self._history_due = 0.0
                    self._news.set()
                elif kind:
                    if kind in _BEGINNINGS and not self._observed.follows(data.get("prompt_id")):
                        # It has just left the queue: the classes of its nodes are still there.
                        await self.look()
                    self._observed.message(kind, data)
        finally:
            if self._websocket is websocket:
                self._websocket = None
            await websocket.close()

    def _has_answered(self) -> None:
        self._answered = time.monotonic()
        if self._is_down or not self._began:
            self._is_down, self._began = False, True
            self._log.info("ComfyUI answers", event_name=semconv.EVENT_SERVICE_STARTED)

    async def _beat(self) -> None:
        """Tell ComfyUI's heartbeat, not this process's: it stops with ComfyUI."""
        interval = self._telemetry.settings.service_heartbeat_s
        if not interval or self._answered < self._beat_due:
            return
        self._beat_due = self._answered + interval
        shown = {}
        # A heart beats on without this answer.
        with contextlib.suppress(ApiError):
            if (used := await self._api.device_memory()) is not None:
                shown[semconv.HW_GPU_MEMORY_UTILIZATION] = used
        self._telemetry.recorder.service_alive(shown)

    def _not_answered(self, reason: str) -> None:
        if self._is_down or time.monotonic() - self._answered < self._pace.down:
            return
        self._is_down = True
        kind = CATALOGUE["service_down"]
        self._log.error(
            f"{kind.keyword}: ComfyUI has not answered for {self._pace.down:g} s ({reason})",
            event_name=semconv.EVENT_SERVICE_UNREACHABLE,
            **{semconv.ERROR_KIND: kind.name, semconv.ERROR_LEVEL: int(kind.level)},
        )


async def watch(telemetry: Telemetry, url: str, client_id: str, pace: Pace) -> None:
    """Watch the ComfyUI at ``url`` until this task is cancelled."""
    async with aiohttp.ClientSession() as session:
        await Watcher(telemetry, ComfyApi(session, url, client_id), pace).run()


async def _first_status(websocket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Return how many prompts the first message of status says are left."""
    async for message in websocket:
        kind, data = _read(message)
        if kind == "status":
            return _remaining(data)
    return None


def _read(message: aiohttp.WSMessage) -> tuple[str, Mapping[str, Any]]:
    """Return kind and data of a message; previews are binary and tell nothing here."""
    if message.type is not aiohttp.WSMsgType.TEXT:
        return "", {}
    try:
        body = json.loads(message.data)
    except ValueError:
        return "", {}
    data = body.get("data") if isinstance(body, dict) else None
    return (str(body.get("type", "")), data) if isinstance(data, dict) else ("", {})


def _remaining(data: Mapping[str, Any]) -> int | None:
    status = data.get("status")
    info = status.get("exec_info") if isinstance(status, Mapping) else None
    remaining = info.get("queue_remaining") if isinstance(info, Mapping) else None
    return remaining if isinstance(remaining, int) else None
