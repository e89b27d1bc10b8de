"""compose/front.cfg in a real HAProxy: who gets the requests of two instances."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.support.compose import ROOT
from tests.support.notifier_process import free_port
from tests.support.scripted_http import ScriptedServer, scripted_server
from tests.support.telemetry import until

READY, NOT_READY = (200, {"status": "ready"}), (503, {"status": "draining"})


@contextmanager
def instances() -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    """Run two instances that are ready and say who they are."""
    with scripted_server() as first, scripted_server() as spare:
        for name, server in (("first", first), ("spare", spare)):
            server.script("GET /readyz", READY)
            server.script("GET /who", (200, name.encode()))
            server.script("POST /prompt", (200, name.encode()))
        yield first, spare


@contextmanager
def front(first: ScriptedServer, spare: ScriptedServer) -> Iterator[str]:
    """Run HAProxy before them, with its checks quicker than in production."""
    port = free_port()
    config = (ROOT / "compose/front.cfg").read_text().replace("inter 2s", "inter 100ms")
    process = subprocess.Popen(
        ["haproxy", "-db", "-f", "/dev/stdin"],
        stdin=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"] + ":/usr/sbin",
            "FRONT_BIND": f"127.0.0.1:{port}",
            "FRONT_FIRST": first.url.removeprefix("http://"),
            "FRONT_SPARE": spare.url.removeprefix("http://"),
        },
    )
    try:
        assert process.stdin
        process.stdin.write(config.encode())
        process.stdin.close()
        url = f"http://127.0.0.1:{port}"
        until(lambda: answer(url, "/front/healthz") == 200)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def answer(url: str, path: str) -> int | None:
    """Return the status of a GET, None while nobody listens."""
    try:
        return requests.get(url + path, timeout=5).status_code
    except requests.ConnectionError:
        return None


def who(url: str) -> str:
    """Return which instance answers."""
    return requests.get(f"{url}/who", timeout=5).text


def test_the_first_gets_everything_while_it_is_ready() -> None:
    """No request reaches the spare; each instance is told who the client is."""
    with instances() as (first, spare), front(first, spare) as url:
        assert {who(url) for _ in range(20)} == {"first"}
        assert all(asked.path == "/readyz" for asked in spare.asked)
        told = [asked.headers for asked in first.asked if asked.path == "/who"]
        assert {headers["x-forwarded-for"] for headers in told} == {"127.0.0.1"}


def test_the_spare_takes_over_and_gives_back() -> None:
    """An instance that is not ready gets nothing until it is ready again."""
    with instances() as (first, spare), front(first, spare) as url:
        assert who(url) == "first"
        first.script("GET /readyz", NOT_READY)
        until(lambda: who(url) == "spare")
        first.script("GET /readyz", READY)
        until(lambda: who(url) == "first")


def test_with_both_gone_the_client_hears_it_at_once() -> None:
    """Without a ready instance the answer is 503, and the front itself stays healthy."""
    with instances() as (first, spare), front(first, spare) as url:
        for server in (first, spare):
            server.script("GET /readyz", NOT_READY)
        until(lambda: answer(url, "/who") == 503)
        assert answer(url, "/front/healthz") == 200


def test_a_prompt_is_never_sent_twice() -> None:
    """An instance that fails a prompt has it; the front does not offer it to the other."""
    with instances() as (first, spare), front(first, spare) as url:
        first.script("POST /prompt", (500, {"error": "after it was queued"}))
        answered = requests.post(f"{url}/prompt", json={}, timeout=5)
        assert answered.status_code == 500
        posted = [asked for asked in (*first.asked, *spare.asked) if asked.method == "POST"]
        assert len(posted) == 1
