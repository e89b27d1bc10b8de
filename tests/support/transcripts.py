"""Plays what ComfyUI answers against our service: see tests/data/comfyui_transcripts/README.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import ClientWebSocketResponse

from tests.support.service import Harness, encoded, picture

# ComfyUI sends these whenever something changes: how often is not promised.
_REPEATED = ("status", "progress_state")
_IN_2020_MS = 1_577_836_800_000


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PLACEHOLDERS: dict[str, Callable[[Any], bool]] = {
    "<int>": _whole,
    "<ms>": lambda value: _whole(value) and value > _IN_2020_MS,
    "<object>": lambda value: isinstance(value, dict),
    "<text>": lambda value: isinstance(value, str) and value != "",
    "<texts>": lambda value: (
        isinstance(value, list) and value != [] and all(isinstance(v, str) for v in value)
    ),
}


class Player:
    """Plays one transcript. What a ``<name>`` stood for at first must stand there ever after."""

    def __init__(self, service: Harness) -> None:
        self._service = service
        self._known: dict[str, Any] = {}
        self._socket: ClientWebSocketResponse | None = None

    async def play(self, steps: list[dict[str, Any]]) -> None:
        """Play the steps in order; an ``AssertionError`` says which differs, where and how."""
        for number, step in enumerate(steps, 1):
            where = f"step {number}"
            if "connect" in step:
                path = f"/ws?clientId={step['connect']}"
                self._socket = await self._service.client.ws_connect(path)
            elif "arm" in step:
                await self._service.arm(**step["arm"])
            elif "finish" in step:
                await self._service.finished(self._filled(step["finish"]))
            elif "messages" in step:
                await self._hear(step["messages"], where)
            else:
                await self._call(step, where)

    async def _call(self, step: Mapping[str, Any], where: str) -> None:
        wanted = {**step, **step.get("ours", {})}
        answer: Any
        if "upload" in step:
            fields = dict(step["upload"])
            status, answer = await self._service.upload(
                encoded(picture(seed=fields.pop("photo"))), **fields
            )
        else:
            method, path = self._filled(step["call"]).split(" ", 1)
            body = {"data": step["body"]} if "body" in step else {"json": step.get("json")}
            async with self._service.client.request(method, path, **self._filled(body)) as response:
                status = response.status
                is_json = response.content_type == "application/json"
                answer = await response.json() if is_json else await response.read()
        assert status == wanted["status"], f"{where}: {status}: {answer}"
        if "answer" in wanted:
            said = answer.decode() if isinstance(answer, bytes) else answer
            difference = self._differs(wanted["answer"], said, f"{where}: answer")
            assert difference is None, difference

    async def _hear(self, wanted: list[dict[str, Any]], where: str) -> None:
        assert self._socket is not None, f"{where}: connect first"
        async with asyncio.timeout(20):
            for index, message in enumerate(wanted, 1):
                while True:
                    heard = await self._socket.receive_json()
                    difference = self._differs(message, heard, f"{where}: message {index}")
                    if difference is None:
                        break
                    assert heard["type"] in _REPEATED, difference

    def _differs(self, wanted: Any, found: Any, where: str) -> str | None:
        """Return where and how ``found`` differs from what a transcript has, or None."""
        if isinstance(wanted, str) and re.fullmatch(r"<\w+>", wanted):
            check = _PLACEHOLDERS.get(wanted, lambda _: True)
            if not check(found):
                return f"{where}: {found!r} is no {wanted}"
            if wanted in _PLACEHOLDERS or self._known.setdefault(wanted, found) == found:
                return None
            return f"{where}: {found!r} is not the earlier {wanted}"
        if isinstance(wanted, dict) and isinstance(found, dict):
            added = set(wanted.get("+", ()))
            pairs = {self._filled(name): value for name, value in wanted.items() if name != "+"}
            if set(found) - added != set(pairs):
                return f"{where}: has {sorted(found)}, not {sorted(pairs)} (ours: {sorted(added)})"
            # In the transcript's order: a message's type is compared before its names are learnt.
            parts = [(value, found[name], f".{name}") for name, value in pairs.items()]
        elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
            parts = [(w, f, f"[{i}]") for i, (w, f) in enumerate(zip(wanted, found, strict=True))]
        else:
            same = type(wanted) is type(found) and wanted == found  # 0 is not 0.0
            return None if same else f"{where}: {found!r}, not {wanted!r}"
        return next((d for w, f, at in parts if (d := self._differs(w, f, where + at))), None)

    def _filled(self, value: Any) -> Any:
        """Return ``value`` with the names that are known by now replaced."""
        if isinstance(value, str):
            for name, known in self._known.items():
                value = value.replace(name, str(known))
        elif isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        elif isinstance(value, list):
            return [self._filled(item) for item in value]
        return value
