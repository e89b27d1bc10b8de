"""The HTTP interface, in process: answers, errors, and what GET shows."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.server import make_app
from ddcolor_operations.notifier.service import Notifier
from ddcolor_operations.receivers import Failure
from tests.support.alerts import alert_json
from tests.support.places import Places, places
from tests.support.silent import SilentLogger

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def all_places(tmp_path: Path) -> AsyncIterator[Places]:
    with places(tmp_path) as running:
        yield running


@pytest.fixture
async def notifier(all_places: Places) -> AsyncIterator[Notifier]:
    made = Notifier(load_config(all_places.config(), {}), AlertLog(SilentLogger()))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def client(notifier: Notifier) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(notifier))) as running:
        yield running


async def post(client: Client, body: Any) -> tuple[int, dict[str, Any]]:
    async with client.post("/alerts", json=body) as reply:
        return reply.status, await reply.json()


async def get(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    async with client.get(path) as reply:
        return reply.status, await reply.json()


async def test_an_alert_is_accepted_then_a_duplicate_then_held_back(client: Client) -> None:
    """Each answer is 202 with the id and what became of the alert."""
    answers = [await post(client, alert_json(n)) for n in (1, 1, 2)]

    assert [(status, body["status"]) for status, body in answers] == [
        (202, "accepted"),
        (202, "duplicate"),
        (202, "held_back"),
    ]
    assert answers[0][1]["alert_id"] == alert_json(1)["alert_id"]


async def test_level_3_reaches_all_four_places_and_is_shown_as_delivered(
    client: Client, all_places: Places
) -> None:
    """Chat twice, SMS and mail, each with the reference; GET shows each delivery."""
    await post(client, alert_json(1, level=3))
    for place in all_places.all:
        (message,) = await asyncio.to_thread(place.wait_for, 1)
        assert alert_json(1)["alert_id"][:8] in message.text

    async with client.get(f"/alerts/{alert_json(1)['alert_id'][:8]}") as reply:
        shown = await reply.json()
    assert [d["channel"] for d in shown["deliveries"]] == ["wecom", "dingtalk", "sms", "mail"]
    assert shown["trace_id"] == alert_json()["trace_id"]


async def test_level_1_is_recorded_and_nothing_is_sent(client: Client, all_places: Places) -> None:
    """The record is its delivery."""
    await post(client, alert_json(1, level=1))

    _, shown = await get(client, "/alerts")
    (delivery,) = shown["alerts"][0]["deliveries"]
    assert (delivery["channel"], delivery["status"]) == ("record", "delivered")
    assert all(place.requests == 0 for place in all_places.all)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "the body is not JSON"),
        (b"[" * 5000, "the body is not JSON"),
        (b"[]", "one JSON object"),
        (b"{}", "level: "),
        (b"\xff", "the body is not JSON"),
    ],
)
async def test_a_bad_body_is_answered_with_400_and_the_reason(
    client: Client, body: bytes, error: str
) -> None:
    """The error says what, where and what to do."""
    async with client.post(
        "/alerts", data=body, headers={"Content-Type": "application/json"}
    ) as reply:
        assert reply.status == 400
        assert error in (await reply.json())["error"]


async def test_what_a_browser_may_send_unasked_is_refused(client: Client) -> None:
    """A form or a text from any web page raises no alert."""
    async with client.post("/alerts", data=json.dumps(alert_json())) as reply:
        assert reply.status == 415


async def test_a_huge_body_is_refused(client: Client) -> None:
    """The limit is said."""
    status, body = await post(client, alert_json(summary="x" * 300_000))

    assert status == 413
    assert "262144 bytes" in body["error"]


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/alerts?since=yesterday", 400, "since: "),
        ("/alerts?limit=0", 400, "limit: "),
        ("/alerts?limit=x", 400, "limit: "),
        ("/alerts/xyz", 400, "id: "),
        ("/alerts/0000000000000000", 404, "no such alert"),
        ("/other", 404, "Not Found"),
    ],
)
async def test_a_wrong_question_is_answered_with_json(
    client: Client, path: str, status: int, error: str
) -> None:
    """Every error has one shape."""
    got, body = await get(client, path)

    assert (got, error in body["error"]) == (status, True)


async def test_since_takes_a_zone_offset_whose_plus_was_not_encoded(client: Client) -> None:
    """A shell user does not have to know percent-encoding."""
    await post(client, alert_json())

    for since, count in (("2020-01-01T00:00:00+08:00", 1), ("2100-01-01T00:00:00Z", 0)):
        status, body = await get(client, f"/alerts?since={since}")
        assert (status, len(body["alerts"])) == (200, count)


async def test_health_names_every_channel(client: Client) -> None:
    """A channel without a delivery is there too."""
    status, body = await get(client, "/healthz")

    assert (status, body["status"]) == (200, "ok")
    assert set(body["channels"]) == {"wecom", "dingtalk", "sms", "mail"}


async def test_what_waits_for_a_channel_that_is_gone_is_seen(
    client: Client, notifier: Notifier, all_places: Places
) -> None:
    """It was taken out of the configuration while a message waited."""
    all_places.wecom.fail(Failure.status(500), times=100)
    await post(client, alert_json())
    await asyncio.to_thread(all_places.wecom.wait_for_requests, 1)
    notifier.reload(replace(notifier.config, channels={"mail": notifier.config.channels["mail"]}))

    _, body = await get(client, "/healthz")
    assert body["status"] == "degraded"
    assert "sms" not in body["channels"]
    assert body["channels"]["wecom"]["failing"] == 1


async def test_retry_of_an_unknown_channel_is_named(client: Client) -> None:
    """A misspelt channel is not silently nothing."""
    async with client.post("/alerts/retry?channel=wecomm") as reply:
        assert reply.status == 400
        assert "wecomm" in (await reply.json())["error"]
    async with client.post("/alerts/retry") as reply:
        assert await reply.json() == {"revived": 0}


async def test_a_full_disk_is_a_503_and_then_well_again(client: Client, notifier: Notifier) -> None:
    """The sender keeps what was not taken, and the disk's recovery needs no restart."""

    async def pages(most: int) -> None:
        await asyncio.wrap_future(
            notifier.database.submit(lambda c: c.execute(f"PRAGMA max_page_count = {most}"))
        )

    async def take(numbers: range) -> list[tuple[int, dict[str, Any]]]:
        return [await post(client, alert_json(n, summary="x " * 900)) for n in numbers]

    await pages(1)
    answers = await take(range(40))
    refused = [body["error"] for status, body in answers if status == 503]
    assert refused
    assert "database or disk is full: check the notifier's disk" in refused[0]

    await pages(1_000_000)
    again = await take(range(40))
    assert [status for status, _ in again] == [202] * 40
    duplicates = sum(body["status"] == "duplicate" for _, body in again)
    assert duplicates == len(answers) - len(refused)
