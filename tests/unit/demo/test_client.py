"""The demo's client of the service, and what it reads from the two ends of the chain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.demo.client import DemoError, ServiceClient, new_trace_id
from ddcolor_operations.demo.observer import Observer
from tests.support.runs import START
from tests.support.scripted_http import ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Serve scripted answers."""
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> ServiceClient:
    """Return a client of the scripted server."""
    return ServiceClient(server.url, "the-token")


def entry(status: str, messages: list[Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Make a history entry as ComfyUI writes it."""
    return {
        "p1": {
            "prompt": [0, "p1", {}, {}, []],
            "outputs": outputs,
            "status": {"status_str": status, "completed": True, "messages": messages},
        }
    }


def test_a_prompt_is_sent_in_the_given_trace(server: ScriptedServer, client: ServiceClient) -> None:
    """The service can make the caller's trace its own."""
    server.script("POST /prompt", (200, {"prompt_id": "p1", "number": 0, "node_errors": {}}))
    trace_id = new_trace_id()

    assert client.queue({"1": {}}, "person", trace_id) == "p1"
    (asked,) = server.asked
    version, sent_trace, span_id, flags = asked.headers["traceparent"].split("-")
    assert (version, sent_trace, flags) == ("00", trace_id, "01")
    assert len(span_id) == 16
    assert json.loads(asked.body) == {
        "prompt": {"1": {}},
        "extra_data": {"scenario": "person"},
    }


def test_the_history_is_followed_until_the_prompt_has_ended(
    server: ScriptedServer, client: ServiceClient
) -> None:
    """An empty history means still queued; the entry holds the pictures."""
    image = {"filename": "x.png", "subfolder": "", "type": "output"}
    server.script(
        "GET /history/p1", (200, {}), (200, entry("success", [], {"3": {"images": [image]}}))
    )

    finished = client.wait("p1", timeout_s=10)

    assert finished.success
    assert finished.images == (image,)
    assert finished.error is None


def test_a_failed_prompt_says_why(server: ScriptedServer, client: ServiceClient) -> None:
    """The service's own message is kept."""
    messages = [
        ["execution_start", {}],
        ["execution_error", {"exception_message": "Out of memory"}],
    ]
    server.script("GET /history/p1", (200, entry("error", messages, {})))

    finished = client.wait("p1", timeout_s=10)

    assert not finished.success
    assert finished.error == "Out of memory"


def test_a_prompt_that_never_ends_is_an_error(
    server: ScriptedServer, client: ServiceClient
) -> None:
    """The error names the prompt and where to look."""
    server.script("GET /history/p1", (200, {}))

    with pytest.raises(DemoError, match=r"Prompt p1 has not ended .* log of part service"):
        client.wait("p1", timeout_s=0.05)


def test_faults_are_armed_with_the_admin_token(
    server: ScriptedServer, client: ServiceClient
) -> None:
    """The switch gets kind, count and the bearer token; nothing else does."""
    server.script("POST /admin/faults", (200, {"armed": []}))
    server.script("POST /upload/image", (200, {"name": "a.jpg"}))
    client.arm("slow_inference", seconds=34.0)
    client.upload(Path(__file__), "a.jpg")
    arming, upload = server.asked

    assert json.loads(arming.body) == {"kind": "slow_inference", "count": 1, "seconds": 34.0}
    assert arming.headers["Authorization"] == "Bearer the-token"
    assert "Authorization" not in upload.headers


@pytest.mark.parametrize("call", ["arm", "queue", "view"])
def test_a_refusal_is_an_error_with_the_answer(
    server: ScriptedServer, client: ServiceClient, call: str
) -> None:
    """What the service answered stands in the error."""
    for route in ("POST /admin/faults", "POST /prompt", "GET /view"):
        server.script(route, (403, {"error": "not today"}))
    calls: dict[str, Callable[[], object]] = {
        "arm": lambda: client.arm("out_of_memory"),
        "queue": lambda: client.queue({}, "person", new_trace_id()),
        "view": lambda: client.view({"filename": "x.png", "subfolder": "", "type": "output"}),
    }

    with pytest.raises(DemoError, match="403"):
        calls[call]()


def test_a_service_that_is_gone_is_named() -> None:
    """A refused connection names the address and the log."""
    with scripted_server() as gone:
        pass

    with pytest.raises(DemoError, match=r"no answer from the service at http://127\.0\.0\.1"):
        ServiceClient(gone.url, "x").queue({}, "person", new_trace_id())


def test_the_observer_reads_alerts_and_messages(server: ScriptedServer) -> None:
    """Both ends are read into plain values; messages of an earlier run are left out."""
    delivery = {
        "channel": "wecom",
        "status": "delivered",
        "attempts": 1,
        "delivered_at": "2026-01-31T08:30:03.000000Z",
        "error": None,
    }
    alert = {
        "alert_id": "ab" * 16,
        "rule": "keyword_out_of_memory",
        "kind": "out_of_memory",
        "level": 2,
        "service": "ddcolor-service",
        "status": "accepted",
        "occurred_at": "2026-01-31T08:30:01.500000Z",
        "received_at": "2026-01-31T08:30:02.000000Z",
        "trace_id": None,
        "deliveries": [delivery],
    }
    moment = START.timestamp() + 3
    message = {"receiver": "wecom", "received_at": moment, "title": "t", "text": "ref abababab"}
    server.script("GET /alerts", (200, {"alerts": [alert], "more": False}))
    server.script(
        "GET /received", (200, {"messages": [{**message, "received_at": moment - 60}, message]})
    )

    seen = Observer(server.url, server.url, START).look()

    (found,) = seen.alerts
    assert found.key == ("ddcolor-service", "out_of_memory", 2)
    assert found.sendings["wecom"].status == "delivered"
    assert [arrival.text for arrival in seen.of(found, "wecom")] == ["ref abababab"]
    assert "since=2026-01-31T08%3A30%3A00%2B00%3A00" in server.asked[0].path


def test_the_observer_names_the_end_that_is_gone(server: ScriptedServer) -> None:
    """A notifier that answers with an error is named as the part to look at."""
    server.script("GET /alerts", (500, {}))

    with pytest.raises(DemoError, match="log of part notifier"):
        Observer(server.url, server.url, START).look()
