"""WebSocket clients, and the one way to speak to them from any thread.

The worker thread must never wait for a client: each client has a bounded queue and its own sender;
one that does not read is dropped and may connect again.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

import orjson
from aiohttp import web

_MAX_WAITING = 2000
_SEND_TIMEOUT_S = 30.0


class _Client:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(_MAX_WAITING)

    async def send_all(self) -> None:
        """Send what waits, in order, until told to end or the client is gone or stuck."""
        while (text := await self.queue.get()) is not None:
            try:
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await self.socket.send_str(text)
            except (ConnectionError, RuntimeError, TimeoutError):
                break
        await self.socket.close()


class Hub:
    """All connected clients, by client id."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: dict[str, _Client] = {}
        # A wake-up of the loop is a system call, and messages come in bursts: one does for many.
        self._outbox: deque[tuple[str, str | None]] = deque()
        self._waking = threading.Lock()
        self._awake = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that the sockets live on."""
        self._loop = loop

    def publish(self, event: str, data: dict[str, Any], client_id: str | None) -> None:
        """Send to one client, or to all when ``client_id`` is None; from any thread."""
        if self._loop is None or self._loop.is_closed():
            return
        self._outbox.append((encode(event, data), client_id))
        with self._waking:
            if self._awake:  # the loop has yet to come to the messages before this one
                return
            self._awake = True
        try:
            self._loop.call_soon_threadsafe(self._deliver_all)
        except RuntimeError:  # the loop closed between the check and the call: nobody listens
            return

    def _deliver_all(self) -> None:
        with self._waking:
            self._awake = False  # what is published from now on wakes the loop again
        while self._outbox:
            self._deliver(*self._outbox.popleft())

    def _deliver(self, text: str, client_id: str | None) -> None:
        if client_id is None:
            chosen = list(self._clients.values())
        else:
            chosen = [c for c in [self._clients.get(client_id)] if c is not None]
        for client in chosen:
            try:
                client.queue.put_nowait(text)
            except asyncio.QueueFull:
                asyncio.ensure_future(client.socket.close())  # noqa: RUF006  the reader ends then

    async def serve(
        self, socket: web.WebSocketResponse, client_id: str, greeting: list[str]
    ) -> None:
        """Own a client until it leaves. A newer connection of the same id replaces it."""
        client = _Client(socket)
        for text in greeting:
            client.queue.put_nowait(text)
        earlier = self._clients.get(client_id)
        self._clients[client_id] = client
        if earlier is not None:
            await earlier.socket.close()
        sender = asyncio.create_task(client.send_all())
        try:
            async for message in socket:
                if message.type is web.WSMsgType.TEXT:
                    self._answer(client, message.data)
        finally:
            if self._clients.get(client_id) is client:
                del self._clients[client_id]
            sender.cancel()

    @staticmethod
    def _answer(client: _Client, text: str) -> None:
        """Answer the one thing clients say: which features they know."""
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            return
        if isinstance(said, dict) and said.get("type") == "feature_flags":
            reply = encode("feature_flags", {"supports_preview_metadata": False})
            if not client.queue.full():
                client.queue.put_nowait(reply)

    async def close(self) -> None:
        """Say goodbye to everybody."""
        for client in list(self._clients.values()):
            await client.socket.close(code=1001, message=b"the service is stopping")

    def __len__(self) -> int:
        return len(self._clients)


def encode(event: str, data: dict[str, Any]) -> str:
    """Return the text of one message in ComfyUI's form."""
    return orjson.dumps({"type": event, "data": data}, default=str).decode()
