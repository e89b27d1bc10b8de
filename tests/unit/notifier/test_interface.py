"""The HTTP interface of heartbeats, acknowledgements and the token."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.server import make_app
from ddcolor_operations.notifier.service import Notifier
from tests.support.alerts import alert_json
from tests.support.places import Places, places
from tests.support.silent import SilentLogger

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    with places(tmp_path) as running:
        yield running


async def serve(all_places: Places, **settings: Any) -> AsyncIterator[Client]:
    notifier = Notifier(load_config(all_places.config(**settings), {}), AlertLog(SilentLogger()))
    await notifier.start()
    async with TestClient(TestServer(make_app(notifier))) as client:
        yield client
    await notifier.stop()


@pytest.fixture
async def client(all_places: Places) -> AsyncIterator[Client]:
    async for running in serve(all_places):
        yield running


@pytest.fixture
async def guarded(all_places: Places) -> AsyncIterator[Client]:
    (all_places.folder / "token").write_text("canary-api-token\n", encoding="utf-8")
    async for running in serve(all_places, api_token={"file": "token"}):
        yield running


async def ask(
    client: Client, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    async with client.request(method, path, json=body, headers=headers) as reply:
        return reply.status, await reply.json()


def heartbeat(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"path": "elasticsearch", "service": "ddcolor-service", "occurred_at": now, **changes}


async def test_a_heartbeat_is_taken_and_shown(client: Client) -> None:
    """202 with what it proves; the health page and the list of paths show it."""
    assert await ask(client, "POST", "/heartbeats", heartbeat()) == (
        202,
        {"path": "elasticsearch", "status": "alive"},
    )
    late = heartbeat(path="watcher", occurred_at="2020-01-01T00:00:00Z")
    assert (await ask(client, "POST", "/heartbeats", late))[1]["status"] == "late"

    _, shown = await ask(client, "GET", "/heartbeats")
    assert [way["silent"] for way in shown["paths"].values()] == [False, True]
    _, health = await ask(client, "GET", "/healthz")
    assert health["paths"] == shown["paths"]
    assert health["status"] == "degraded"


async def test_a_path_can_be_forgotten(client: Client) -> None:
    """404 for one that is not known."""
    await ask(client, "POST", "/heartbeats", heartbeat())

    assert await ask(client, "DELETE", "/heartbeats/elasticsearch") == (
        200,
        {"path": "elasticsearch"},
    )
    status, body = await ask(client, "DELETE", "/heartbeats/elasticsearch")
    assert (status, "no heartbeat has come by this path" in body["error"]) == (404, True)


async def test_a_wrong_heartbeat_is_refused(client: Client) -> None:
    """With the field."""
    status, body = await ask(client, "POST", "/heartbeats", heartbeat(path="/etc"))

    assert (status, body["error"].partition(":")[0]) == (400, "path")


async def test_an_alert_is_acknowledged_by_its_reference_or_its_fault(client: Client) -> None:
    """Who, how long it took, and the second time who was first."""
    alert_id = alert_json(1)["alert_id"]
    await ask(client, "POST", "/alerts", alert_json(1, level=3))

    status, body = await ask(client, "POST", f"/alerts/{alert_id[:8]}/ack", {"by": "zhang"})
    (one,) = body["acknowledged"]
    assert (status, one["by"], one["alert_id"], one["already"]) == (200, "zhang", alert_id, False)

    fault = {"by": "li", "service": "ddcolor-service", "kind": "out_of_memory"}
    _, body = await ask(client, "POST", "/alerts/ack", fault)
    (again,) = body["acknowledged"]
    assert (again["by"], again["already"]) == ("zhang", True)
    _, shown = await ask(client, "GET", f"/alerts/{alert_id}")
    assert shown["acknowledged"]["by"] == "zhang"


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/alerts/ack", {"service": "s", "kind": "k"}, 409, "nothing to acknowledge"),
        ("/alerts/ack", {"service": "s"}, 400, "service: name the service and the kind"),
        ("/alerts/0000/ack", {"by": "x"}, 404, "no such alert"),
        ("/alerts/0000/ack", {"by": 1}, 400, "by: "),
        ("/alerts/0000/ack", None, 415, "application/json"),
    ],
)
async def test_a_wrong_acknowledgement_is_answered_with_the_reason(
    client: Client, path: str, body: Any, status: int, error: str
) -> None:
    """What is over, unknown or misspelt."""
    got, said = await ask(client, "POST", path, body)

    assert (got, error in said["error"]) == (status, True)


ROUTES = [
    ("GET", "/alerts"),
    ("POST", "/alerts"),
    ("POST", "/alerts/retry"),
    ("POST", "/alerts/ack"),
    ("GET", "/alerts/0000"),
    ("GET", "/episodes"),
    ("POST", "/silences"),
    ("DELETE", "/silences/1"),
    ("POST", "/heartbeats"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("given", [None, "", "Bearer wrong", "canary-api-token", "Basic x"])
async def test_without_the_token_nothing_is_answered(
    guarded: Client, method: str, path: str, given: str | None
) -> None:
    """401, and not even which addresses there are."""
    headers = {} if given is None else {"Authorization": given}

    status, body = await ask(guarded, method, path, {}, **headers)

    assert (status, "asks for a token" in body["error"]) == (401, True)


async def test_with_the_token_everything_is_as_before(guarded: Client) -> None:
    """And the health page needs none."""
    headers = {"Authorization": "Bearer canary-api-token"}

    assert (await ask(guarded, "POST", "/alerts", alert_json(), **headers))[0] == 202
    assert (await ask(guarded, "GET", "/alerts", **headers))[0] == 200
    assert (await ask(guarded, "GET", "/healthz"))[0] == 200


async def test_a_token_that_was_rotated_holds_at_once(guarded: Client, all_places: Places) -> None:
    """Without a restart; and a file that is gone opens no door."""
    token = all_places.folder / "token"
    token.write_text("canary-next-token", encoding="utf-8")
    old, new = (f"Bearer canary-{word}-token" for word in ("api", "next"))

    assert (await ask(guarded, "GET", "/alerts", Authorization=old))[0] == 401
    assert (await ask(guarded, "GET", "/alerts", Authorization=new))[0] == 200
    token.unlink()
    status, body = await ask(guarded, "GET", "/alerts", Authorization=new)
    assert (status, "canary" in body["error"]) == (503, False)
