"""The WebSocket: which messages come, to whom, and in which order."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from ddcolor_service.api.access import SOCKET_PROTOCOL
from tests.support.service import Harness, messages, running_service, workflow

TOKEN = "an-api-token?~of>the<tests"


def ended(message: dict[str, Any]) -> bool:
    return message["type"] == "executing" and message["data"]["node"] is None


async def test_order_of_messages(with_photo: Harness) -> None:
    """A prompt's messages come in ComfyUI's order, from execution_start to executing null."""
    async with with_photo.client.ws_connect("/ws?clientId=me") as socket:
        greeting = await socket.receive_json()
        assert greeting["type"] == "status"
        assert greeting["data"]["sid"] == "me"
        assert greeting["data"]["status"] == {"exec_info": {"queue_remaining": 0}}
        prompt_id = await with_photo.queue(workflow(), client_id="me")
        found = await messages(socket, until=ended)
    told = [m for m in found if m["type"] not in ("status", "progress_state")]
    assert [(m["type"], m["data"].get("node")) for m in told] == [
        ("execution_start", None),
        ("execution_cached", None),
        ("executing", "1"),
        ("executing", "2"),
        ("progress", "2"),
        ("executing", "3"),
        ("executed", "3"),
        ("execution_success", None),
        ("executing", None),
    ]
    assert all(m["data"]["prompt_id"] == prompt_id for m in told)
    progress = told[4]["data"]
    assert (progress["value"], progress["max"]) == (1, 1)
    assert told[6]["data"]["output"]["images"][0]["type"] == "output"
    assert found[-2]["type"] == "status"
    assert found[-2]["data"]["status"]["exec_info"]["queue_remaining"] == 0
    states = [m["data"]["nodes"] for m in found if m["type"] == "progress_state"]
    assert {n: s["state"] for n, s in states[-1].items()} == dict.fromkeys("123", "finished")
    assert states[0] == {
        "1": {
            "value": 0,
            "max": 1,
            "state": "running",
            "node_id": "1",
            "prompt_id": prompt_id,
            "display_node_id": "1",
            "parent_node_id": None,
            "real_node_id": "1",
        }
    }


async def test_cached_prompt(with_photo: Harness) -> None:
    """A cached prompt shows its picture without executing a node."""
    await with_photo.run(workflow())
    async with with_photo.client.ws_connect("/ws?clientId=me") as socket:
        await with_photo.queue(workflow(), client_id="me")
        found = await messages(socket, until=ended)
    told = [m["type"] for m in found if m["type"] != "status"]
    assert told == [
        "execution_start",
        "execution_cached",
        "executed",
        "execution_success",
        "executing",
    ]


async def test_failed_prompt(with_photo: Harness) -> None:
    """A failing node is told once, with its kind, its place and capped, redacted details."""
    await with_photo.arm("execution_error")
    async with with_photo.client.ws_connect("/ws?clientId=me") as socket:
        await with_photo.queue(workflow(), client_id="me")
        found = await messages(socket, until=ended)
    (error,) = [m["data"] for m in found if m["type"] == "execution_error"]
    assert (error["node_id"], error["node_type"]) == ("2", "DDColor_Colorize")
    assert error["executed"] == ["1"]
    assert error["exception_type"] == "RuntimeError"
    assert error["exception_message"].startswith("Sizes of tensors must match")
    assert error["kind"] == "execution_error"
    assert error["current_inputs"]["image"] == ["Tensor(1, 48, 64, 3) torch.float32"]
    assert any("nodes/colorize.py" in line for line in error["traceback"])
    assert not any(line.lstrip().startswith('File "/') for line in error["traceback"])
    assert "execution_success" not in [m["type"] for m in found]


async def test_interrupted_prompt(with_photo: Harness) -> None:
    """An interrupt is told as such, and then the prompt's end."""
    await with_photo.arm("slow_inference", seconds=60)
    async with with_photo.client.ws_connect("/ws?clientId=me") as socket:
        prompt_id = await with_photo.queue(workflow(), client_id="me")
        await messages(
            socket, until=lambda m: m["type"] == "executing" and m["data"]["node"] == "2"
        )
        await with_photo.post("/interrupt", {})
        found = await messages(socket, until=ended)
    (told,) = [m["data"] for m in found if m["type"] == "execution_interrupted"]
    assert told["prompt_id"] == prompt_id
    assert (told["node_id"], told["node_type"], told["executed"]) == (
        "2",
        "DDColor_Colorize",
        ["1"],
    )


async def test_others_hear_only_status(with_photo: Harness) -> None:
    """Of another's prompts, and of those without client id, a client hears only the queue."""
    async with with_photo.client.ws_connect("/ws?clientId=other") as socket:
        await with_photo.run(workflow(), client_id="me")
        await with_photo.run(workflow())
        await with_photo.service.hub.close()
        types = {message.json()["type"] async for message in socket}
    assert types == {"status"}


async def test_reconnect_in_the_middle(with_photo: Harness) -> None:
    """A client that comes back under its id learns at once which node runs, and the rest."""
    await with_photo.arm("slow_inference", seconds=60)
    prompt_id = await with_photo.queue(workflow(), client_id="me")
    await with_photo.running(prompt_id)
    async with with_photo.client.ws_connect("/ws?clientId=first") as other:
        async with with_photo.client.ws_connect("/ws?clientId=me") as socket:
            await messages(socket, until=lambda m: m["type"] == "executing")
            await with_photo.post("/interrupt", {})
            await messages(socket, until=ended)
        assert not other.closed


async def test_a_second_connection_replaces_the_first(with_photo: Harness) -> None:
    """Of two connections under one id the newer one is served, the older one closed."""
    async with with_photo.client.ws_connect("/ws?clientId=me") as old:
        await old.receive_json()
        async with with_photo.client.ws_connect("/ws?clientId=me") as new:
            await new.receive_json()
            async for _ in old:
                pass
            assert old.closed
            await with_photo.queue(workflow(), client_id="me")
            assert (await messages(new, until=ended))[-1]


async def test_strange_messages_do_no_harm(with_photo: Harness) -> None:
    """Whatever a client sends, it stays connected; feature flags are answered."""
    async with with_photo.client.ws_connect("/ws") as socket:
        greeting = await socket.receive_json()
        assert len(greeting["data"]["sid"]) == 32
        for text in ("", "{", "[]", "null", '{"type": 5}'):
            await socket.send_str(text)
        await socket.send_bytes(b"\x00")
        await socket.send_json({"type": "feature_flags", "data": {}})
        (answer,) = await messages(socket, until=lambda m: m["type"] == "feature_flags")
        assert answer["data"] == {"supports_preview_metadata": False}


def offer(token: str) -> str:
    """Return the subprotocol that carries a token."""
    return "bearer." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


async def test_a_browser_offers_its_token_as_a_subprotocol(tmp_path: Path) -> None:
    """With the right token offered the socket opens, and neither answer nor log repeats it."""
    async with running_service(tmp_path, api_token=TOKEN) as service:
        own = {"Authorization": f"Bearer {TOKEN}"}
        offered = (SOCKET_PROTOCOL, offer(TOKEN))
        async with service.client.ws_connect("/ws?clientId=me", protocols=offered) as socket:
            assert socket.protocol == SOCKET_PROTOCOL
            assert (await socket.receive_json())["type"] == "status"
        async with service.client.ws_connect("/api/ws", headers=own) as socket:
            assert socket.protocol is None
        assert (await service.get("/queue", headers=own))[0] == 200
        logged = service.log_file.read_text("utf-8")
        assert offer(TOKEN) not in logged
        assert TOKEN not in logged


@pytest.mark.parametrize(
    "protocol",
    ["bearer.", offer("x" + TOKEN), offer(TOKEN[:-1]), "bearer.%%%", "bearer.a", offer(TOKEN)[7:]],
)
async def test_a_wrong_subprotocol_token_is_refused(tmp_path: Path, protocol: str) -> None:
    """A token that is wrong, cut or not base64 is a 401; and it opens nothing but the socket."""
    async with running_service(tmp_path, api_token=TOKEN) as service:
        with pytest.raises(WSServerHandshakeError) as caught:
            await service.client.ws_connect("/ws", protocols=(SOCKET_PROTOCOL, protocol))
        assert caught.value.status == 401
        headers = {"Sec-WebSocket-Protocol": f"{SOCKET_PROTOCOL}, {offer(TOKEN)}"}
        assert (await service.client.get("/queue", headers=headers)).status == 401


async def test_an_unknown_subprotocol_is_not_logged(
    service: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """A token offered without the neutral protocol is refused before anything can log it."""
    with pytest.raises(WSServerHandshakeError) as caught:
        await service.client.ws_connect("/ws", protocols=(offer(TOKEN),))
    assert caught.value.status == 400
    assert offer(TOKEN) not in caplog.text
