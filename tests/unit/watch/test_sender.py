"""What becomes of an alert, whatever the notifier answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from ddcolor_operations.watch import sender as module
from ddcolor_operations.watch.sender import Sender

ALERT = {"alert_id": "ab" * 16, "rule": "keyword_out_of_memory"}
TAKEN = (202, {"alert_id": "ab" * 16, "status": "accepted"})


def posts(answers: list[tuple[int, Any]], token: str | None = None) -> list[Any]:
    """Send an alert to a notifier that gives these answers; return what it was sent."""
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        status, body = answers[min(len(seen), len(answers) - 1)]
        seen.append((request.headers.get("Authorization"), await request.json()))
        return web.json_response(body, status=status)

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/alerts", answer)
        async with TestServer(app) as server:
            taken = asyncio.Event()

            async def note(alert_id: str) -> None:
                assert alert_id == ALERT["alert_id"]
                taken.set()

            sender = Sender(str(server.make_url("")), token, note, structlog.get_logger())
            sender.put(dict(ALERT))
            assert not sender.is_idle
            task = asyncio.create_task(sender.run())
            await asyncio.wait_for(taken.wait(), 30)
            await asyncio.sleep(0)
            assert sender.is_idle
            task.cancel()

    asyncio.run(run())
    return seen


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_FIRST_S", 0.001)
    monkeypatch.setattr(module, "_PAUSE_LAST_S", 0.001)


def test_an_alert_that_is_taken_is_sent_once() -> None:
    """With the token, if there is one."""
    assert posts([TAKEN], "secret") == [("Bearer secret", ALERT)]


@pytest.mark.parametrize(
    "answer",
    [
        (503, {"error": "the outbox cannot be written"}),
        (401, {"error": "this notifier asks for a token"}),
        (429, {}),
        (302, {}),
        (202, ["something else listens here"]),
        (202, {"ok": True}),
        (400, {"detail": "not a notifier's answer"}),
    ],
)
def test_what_is_not_taken_is_sent_again(answer: tuple[int, Any]) -> None:
    """Only a notifier's own word counts; until it comes the alert is tried."""
    assert len(posts([answer, answer, TAKEN])) == 3


def test_what_the_notifier_calls_unusable_is_not_sent_again() -> None:
    """Sending the same again cannot mend it, and would go on for ever."""
    assert len(posts([(400, {"error": "level: 7 is not a level"})])) == 1


def test_a_newer_heartbeat_takes_the_place_of_one_that_waits() -> None:
    """After a backlog the notifier hears of each service once."""
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({"path": "watcher", "status": "beating"}, status=202)

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/heartbeats", answer)
        async with TestServer(app) as server:
            sender = Sender(str(server.make_url("")), None, _nothing, structlog.get_logger())
            for service, at in (("a", 1), ("b", 2), ("a", 3)):
                sender.beat({"path": "watcher", "service": service, "occurred_at": at})
            task = asyncio.create_task(sender.run())
            await _until(lambda: len(seen) == 2)
            task.cancel()

    asyncio.run(run())

    assert sorted((beat["service"], beat["occurred_at"]) for beat in seen) == [("a", 3), ("b", 2)]


async def _nothing(_: str) -> None:
    return


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not done():
            await asyncio.sleep(0.001)
