"""Installing templates and reading spans, against an Elasticsearch that is only a memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.elastic import queries
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.elastic.setup import (
    SetupError,
    install,
    readiness_problem,
    wait_ready,
)


class Memory(ThreadingHTTPServer):
    """Keeps what is put, answers it back in the shape of Elasticsearch, and can misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stored: dict[str, Any] = {}
        self.puts: list[str] = []
        self.forgets = False
        self.refusal: dict[str, Any] | None = None
        self.health: tuple[int, dict[str, Any]] = (200, {"status": "yellow", "timed_out": False})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """The few resources that the set-up uses."""

    server: Memory

    def do_PUT(self) -> None:
        """Take a resource, unless told to refuse or forget it."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.puts.append(self.path)
        if self.server.refusal:
            return self._answer(400, {"error": self.server.refusal, "status": 400})
        if not self.server.forgets:
            self.server.stored[self.path] = body
        return self._answer(200, {"acknowledged": True})

    def do_GET(self) -> None:
        """Give a resource in the shape that its kind has."""
        name = self.path.rsplit("/", 1)[-1]
        if self.path.startswith("/_cluster/health"):
            return self._answer(*self.server.health)
        if self.path.startswith("/_data_stream"):
            return self._answer(200, {"data_streams": []})
        body = self.server.stored.get(self.path)
        if body is None:
            return self._answer(404, {})
        if self.path.startswith("/_ingest"):
            return self._answer(200, {name: body})
        kind = self.path.split("/")[1].removeprefix("_")
        return self._answer(200, {f"{kind}s": [{"name": name, kind: body}]})

    def do_POST(self) -> None:
        """Simulate an index template: ours has effect."""
        settings = {"index": {"default_pipeline": "ddcolor-arrival"}}
        return self._answer(200, {"template": {"settings": settings}})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("x-elastic-product", "Elasticsearch")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Run a memory."""
    server = Memory()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One resource of each kind."""
    for kind, name, body in (
        ("ingest_pipelines", "ddcolor-arrival", {"processors": []}),
        ("component_templates", "ddcolor-common", {"template": {}, "_meta": {"a": 1}}),
        ("index_templates", "logs-ddcolor", {"index_patterns": ["logs-ddcolor.otel-*"]}),
    ):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{name}.json").write_text(json.dumps(body))
    return tmp_path


def test_resources_are_installed_in_order_and_once(memory: Memory, folder: Path) -> None:
    """Pipelines come before templates, components before those that use them; no second put."""
    with connect(memory.url) as client:
        installed = install(client, folder)
        again = install(client, folder)
    assert memory.puts == [
        "/_ingest/pipeline/ddcolor-arrival",
        "/_component_template/ddcolor-common",
        "/_index_template/logs-ddcolor",
    ]
    assert installed.changed == ("ddcolor-arrival", "ddcolor-common", "logs-ddcolor")
    assert installed.retention is True
    assert again.changed == ()
    assert memory.stored["/_component_template/ddcolor-common"]["_meta"]["a"] == 1


def test_changed_file_is_put_again(memory: Memory, folder: Path) -> None:
    """An upgrade replaces what an older version installed."""
    with connect(memory.url) as client:
        install(client, folder)
        (folder / "ingest_pipelines/ddcolor-arrival.json").write_text('{"processors": [{}]}')
        assert install(client, folder).changed == ("ddcolor-arrival",)


def test_resource_that_does_not_stay_is_an_error(memory: Memory, folder: Path) -> None:
    """An acknowledged resource that cannot be read back is not taken for installed."""
    memory.forgets = True
    with connect(memory.url) as client, pytest.raises(SetupError, match="is not there"):
        install(client, folder)


def test_refusal_is_told_with_its_innermost_reason(memory: Memory, folder: Path) -> None:
    """The reason is the one at the bottom, which says what is wrong in the file."""
    memory.refusal = {
        "reason": "failed to parse",
        "caused_by": {"reason": "No handler for type [wildcard]"},
    }
    with (
        connect(memory.url) as client,
        pytest.raises(SetupError, match=r"_ingest/pipeline/ddcolor-arrival: No handler for type"),
    ):
        install(client, folder)


def test_broken_or_missing_files_are_named(memory: Memory, folder: Path) -> None:
    """A file that is not JSON and a folder without files are errors before anything is sent."""
    file = folder / "ingest_pipelines" / "ddcolor-arrival.json"
    file.write_text("{")
    with connect(memory.url) as client:
        with pytest.raises(SetupError, match=r"ddcolor-arrival\.json is not JSON"):
            install(client, folder)
        file.unlink()
        with pytest.raises(SetupError, match="holds no JSON file"):
            install(client, folder)
    assert memory.puts == []


def test_cluster_that_is_not_ready_is_told(memory: Memory) -> None:
    """A port that answers is not enough: the cluster's state must be yellow."""
    memory.health = (408, {"status": "red", "timed_out": True})
    with connect(memory.url) as client:
        assert readiness_problem(client) is not None
        with pytest.raises(SetupError, match="not ready after"):
            wait_ready(client, timeout_s=0.3)
        memory.health = (200, {"status": "yellow", "timed_out": False})
        assert wait_ready(client, timeout_s=5) < 5


def test_absent_server_is_not_ready() -> None:
    """Nobody listening is a problem that is returned, not raised."""
    with connect("http://127.0.0.1:1") as client:
        assert "Connection" in (readiness_problem(client) or "")


@pytest.mark.parametrize(
    ("written", "microsecond"),
    [("1795520400000.045000", 45), ("1795520400123.000000", 123_000), ("1795520400123", 123_000)],
)
def test_time_of_the_exporter_is_read(written: str, microsecond: int) -> None:
    """Milliseconds and nanoseconds become one time, to the microsecond."""
    expected = datetime(2026, 11, 24, 11, 40, microsecond=microsecond, tzinfo=UTC)
    assert queries._time(written) == expected


def test_count_needs_a_time_zone(memory: Memory) -> None:
    """A time without a zone is refused rather than taken for the wrong one."""
    with connect(memory.url) as client, pytest.raises(ValueError, match="time zone"):
        queries.count_by_stream(client, datetime(2026, 1, 1))
