"""Who may call: tokens, rate limits, other web sites; and what strange requests are told."""

from __future__ import annotations

import asyncio
import shutil
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import make_mocked_request

from ddcolor_service.api.access import client_of
from tests.support.service import ADMIN, Harness, running_service, workflow

TOKEN = "an-api-token-for-tests"


async def test_api_token(tmp_path: Path) -> None:
    """With a token set, only probes and the page answer without it; it opens no admin route."""
    async with running_service(tmp_path, api_token=TOKEN) as service:
        right = {"Authorization": f"Bearer {TOKEN}"}
        for path in ("/queue", "/api/history", "/view", "/object_info", "/ws"):
            response = await service.client.get(path)
            assert response.status == 401, path
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert (await response.json())["error"]["extra_info"]["kind"] == "invalid_request"
        assert (await service.get("/queue", headers=right))[0] == 200
        for path in ("/healthz", "/readyz", "/"):
            assert (await service.client.get(path)).status == 200, path
        assert (await service.get("/admin/faults", headers=right))[0] == 401
        assert (await service.get("/admin/faults", headers=ADMIN))[0] == 200


async def test_rate_limit(tmp_path: Path) -> None:
    """A client that asks too often is answered 429 and told when to come back."""
    async with running_service(tmp_path, rate_limit=0.01) as service:
        assert (await service.client.get("/queue")).status == 200
        response = await service.client.get("/queue")
        assert response.status == 429
        assert response.headers["Retry-After"]
        assert (await service.client.get("/healthz")).status == 200


async def test_rate_limit_behind_a_proxy(tmp_path: Path) -> None:
    """Clients of a trusted proxy are counted one by one; nobody gets new tries by made-up hops."""
    proxies = (ip_network("127.0.0.1"), ip_network("10.0.0.0/8"))
    async with running_service(tmp_path, rate_limit=0.01, trusted_proxies=proxies) as service:

        async def status(*hops: str) -> int:
            headers = [("X-Forwarded-For", hop) for hop in hops]
            return (await service.client.get("/queue", headers=headers)).status

        assert await status("203.0.113.7") == 200
        assert await status("203.0.113.8, 10.1.1.1") == 200
        assert await status("203.0.113.7") == 429
        assert await status("198.51.100.1, 203.0.113.7") == 429
        assert await status("198.51.100.2", "203.0.113.8:4711, 10.9.9.9") == 429
        assert await status("2001:db8::1") == 200
        assert await status("[2001:db8::2]:80") == 429


async def test_forwarded_hops_of_a_stranger_count_for_nothing(tmp_path: Path) -> None:
    """Without a trusted proxy a client cannot be somebody else by writing X-Forwarded-For."""
    async with running_service(tmp_path, rate_limit=0.01) as service:
        statuses = [
            (await service.client.get("/queue", headers={"X-Forwarded-For": hop})).status
            for hop in ("203.0.113.7", "203.0.113.8")
        ]
        assert statuses == [200, 429]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.9", "203.0.113.7", "203.0.113.9"),
        ("2001:db8:1:2:3::4", "203.0.113.7", "2001:db8:1:2::/64"),
        ("", "203.0.113.7", ""),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: str, client: str) -> None:
    """A client is the first hop from the right that no trusted proxy is."""
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded})
    assert client_of(request.clone(remote=peer), (ip_network("10.0.0.0/8"),)) == client


async def test_other_sites_are_kept_out(service: Harness) -> None:
    """A browser page of another origin may neither read nor write; the own page may."""
    foreign = {"Origin": "https://evil.example"}
    for method, path in (("GET", "/queue"), ("POST", "/interrupt"), ("OPTIONS", "/prompt")):
        response = await service.client.request(method, path, headers=foreign)
        assert response.status == 403, method
        assert "Access-Control-Allow-Origin" not in response.headers
    own = {"Origin": f"http://127.0.0.1:{service.client.port}"}
    assert (await service.client.get("/queue", headers=own)).status == 200
    response = await service.client.get("/queue", headers={"Origin": "null"})
    assert response.status == 403


async def test_cors_for_one_origin(tmp_path: Path) -> None:
    """The one origin of the settings may call, with a preflight; others may not."""
    origin = "https://photos.example"
    async with running_service(tmp_path, cors_origin=origin) as service:
        response = await service.client.options("/prompt", headers={"Origin": origin})
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == origin
        response = await service.client.get("/queue", headers={"Origin": origin})
        assert response.headers["Access-Control-Allow-Origin"] == origin
        other = {"Origin": "https://photos.example.evil"}
        assert (await service.client.get("/queue", headers=other)).status == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nosuch", 404),
        ("POST", "/history/5/x", 404),
        ("DELETE", "/prompt", 405),
        ("GET", "/history?max_items=x", 400),
        ("POST", "/upload/image", 415),
    ],
)
async def test_strange_requests(service: Harness, method: str, path: str, status: int) -> None:
    """What there is not is said in the same shape as everything else."""
    response = await service.client.request(method, path)
    assert response.status == status
    answer = await response.json()
    assert set(answer) == {"error", "node_errors"}
    assert answer["error"]["extra_info"]["kind"]


async def test_a_fault_of_the_service(service: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception in a handler is a 500 without details, and one record with them."""

    def broken() -> None:
        raise ZeroDivisionError("at /home/somebody/secret")

    monkeypatch.setattr(service.service.models, "names", broken)
    response = await service.client.get("/admin/models", headers=ADMIN)
    assert response.status == 500
    assert "secret" not in await response.text()
    (record,) = await service.record("comfyui.request.failed")
    assert record["error.type"] == "ZeroDivisionError"
    assert record["comfyui.error.kind"] == "execution_error"
    assert "/home/somebody" not in str(record)


async def test_large_bodies(tmp_path: Path) -> None:
    """A JSON body over the limit is a 413."""
    async with running_service(tmp_path, max_json_bytes=2000) as service:
        response = await service.client.post("/prompt", data=b"[" + b" " * 5000 + b"]")
        assert response.status == 413
        assert (await service.post("/queue", {"delete": []}))[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/queue", []),
        ("/queue", {"delete": "x"}),
        ("/queue", {"delete": [1]}),
        ("/history", {"delete": {}}),
        ("/interrupt", {"prompt_id": 5}),
        ("/free", "x"),
    ],
)
async def test_wrong_bodies(service: Harness, path: str, body: object) -> None:
    """A body of the wrong shape is a 400."""
    assert (await service.post(path, body))[0] == 400


async def test_health(service: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """/healthz says that the process answers; /readyz says what keeps it from working."""
    assert await service.get("/healthz") == (200, {"status": "ok"})
    status, answer = await service.get("/readyz")
    assert (status, answer["status"]) == (200, "ready")
    monkeypatch.setattr(service.models, "usable", list)
    monkeypatch.setattr(service.service.worker, "silent_for", lambda: 301.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    status, answer = await service.get("/readyz")
    assert (status, answer["status"]) == (503, "not ready")
    assert "checkpoint" in answer["checks"]["model"]
    assert "no sign of life for 301 s" in answer["checks"]["queue"]
    assert "full" in answer["checks"]["disk"]


async def test_a_slow_node_that_lives_is_no_hang(with_photo: Harness) -> None:
    """A running node gives signs of life between its steps; without a prompt there is silence."""
    worker = with_photo.service.worker
    assert worker.silent_for() == 0
    await with_photo.arm("slow_inference", seconds=60)
    await with_photo.running(await with_photo.queue(workflow()))
    silences: list[float] = []
    while len(silences) < 2 or silences[-1] > silences[-2]:
        silences.append(worker.silent_for())
        await asyncio.sleep(0.01)
    await with_photo.post("/interrupt", {})


async def test_system_stats(service: Harness) -> None:
    """The machine is described with ComfyUI's fields and without its folders."""
    status, stats = await service.get("/system_stats")
    assert status == 200
    assert {"os", "ram_total", "ram_free", "comfyui_version", "python_version", "argv"} <= set(
        stats["system"]
    )
    (device,) = stats["devices"]
    assert device["type"] == "cpu"
    assert device["vram_total"] > 0
    assert "/" not in "".join(stats["system"]["argv"])
