"""The few things a watcher asks a ComfyUI over HTTP, read leniently: versions differ."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_LARGEST = 64 * 2**20


class ApiError(Exception):
    """ComfyUI did not answer, or not as a ComfyUI does; the text says how."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A prompt in the queue: its id and its graph of nodes."""

    prompt_id: str
    graph: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Queue:
    """What runs and what waits."""

    running: tuple[Queued, ...]
    pending: tuple[Queued, ...]

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of all prompts in the queue."""
        return frozenset(item.prompt_id for item in (*self.running, *self.pending))


class ComfyApi:
    """A ComfyUI at ``url``, such as http://127.0.0.1:8188."""

    def __init__(self, session: aiohttp.ClientSession, url: str, client_id: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._client_id = client_id

    async def queue(self) -> Queue:
        """Return the queue now. Errors: ``ApiError``."""
        body = await self._get("/queue")
        return Queue(_items(body.get("queue_running")), _items(body.get("queue_pending")))

    async def history(self, prompt_id: str) -> Mapping[str, Any] | None:
        """Return what is known of a prompt that ended, None if nothing is. Errors: ``ApiError``."""
        entry = (await self._get(f"/history/{prompt_id}")).get(prompt_id)
        return entry if isinstance(entry, Mapping) else None

    async def recent(self, count: int) -> dict[str, Mapping[str, Any]]:
        """Return the last ``count`` prompts that ended, oldest first; before 2023-11 all.

        Errors: ``ApiError``.
        """
        body = await self._get(f"/history?max_items={count}")
        return {str(key): entry for key, entry in body.items() if isinstance(entry, Mapping)}

    async def device_memory(self) -> float | None:
        """Return the used share of the fullest GPU's memory, 0 to 1; None if none is told.

        ComfyUI tells it since 2023-06 at ``/system_stats``. Errors: ``ApiError``.
        """
        devices = (await self._get("/system_stats")).get("devices")
        return max(
            (
                1 - device["vram_free"] / device["vram_total"]
                for device in (devices if isinstance(devices, list) else ())
                if isinstance(device, Mapping)
                # The "cpu" device tells the machine's memory.
                and device.get("type") not in (None, "cpu")
                and _is_size(device.get("vram_free"))
                and _is_size(device.get("vram_total"))
                and device["vram_total"]
            ),
            default=None,
        )

    async def websocket(self) -> aiohttp.ClientWebSocketResponse:
        """Open the WebSocket; its first message tells how many prompts are in the queue.

        Errors: ``ApiError``.
        """
        url = f"{self._url}/ws?clientId={self._client_id}"
        try:
            return await self._session.ws_connect(
                url,
                heartbeat=20,
                max_msg_size=_LARGEST,
                timeout=aiohttp.ClientWSTimeout(ws_close=2),
            )
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise ApiError(_reason(error)) from error

    async def _get(self, path: str) -> Mapping[str, Any]:
        try:
            async with self._session.get(self._url + path, timeout=_TIMEOUT) as answer:
                if answer.status != 200:
                    raise ApiError(f"GET {path.partition('?')[0]} answers {answer.status}")
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise ApiError(_reason(error)) from error
        if not isinstance(body, Mapping):
            raise ApiError(f"GET {path.partition('?')[0]} answers no object: is it a ComfyUI?")
        return body


def _is_size(value: object) -> bool:
    return type(value) in (int, float)


def graph_of(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the graph of a history entry, whose ``prompt`` is (number, id, graph, ...)."""
    prompt = entry.get("prompt")
    found = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else None
    return found if isinstance(found, Mapping) else {}


def _items(items: Any) -> tuple[Queued, ...]:
    return tuple(
        Queued(str(item[1]), item[2])
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, list) and len(item) > 2 and isinstance(item[2], Mapping)
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
