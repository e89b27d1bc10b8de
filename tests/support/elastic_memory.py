"""An Elasticsearch that is only a memory: it keeps what is put, and can misbehave."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Memory(ThreadingHTTPServer):
    """Answers the requests of the set-up and the retention in Elasticsearch's shapes.

    ``missing`` are resources that this build has no handler for, as a trimmed one. ``streams`` is
    the cluster state of data streams, ``answers`` what a path (without its query) answers instead;
    ``unavailable`` has each POST answered as by an index whose shard has not started.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stored: dict[str, Any] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.forgets = False
        self.refusal: dict[str, Any] | None = None
        self.unavailable = False
        self.health: tuple[int, dict[str, Any]] = (200, {"status": "yellow", "timed_out": False})
        self.missing = {"/_ilm/status"}
        self.streams: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add_stream(
        self,
        name: str,
        created: Sequence[datetime],
        *,
        failures: Sequence[datetime] = (),
        failure_store: bool = True,
        lifecycle: str | None = None,
        made_of: str | None = None,
    ) -> None:
        """Have a data stream whose indices were made at these times.

        Each has seven documents. ``failures`` are the same of its failure store; ``made_of`` is the
        hash of the templates.
        """
        index: dict[str, Any] = {"lifecycle": {"name": lifecycle}} if lifecycle else {}
        names = {}
        for expression, kind, times in (
            (name, ".ds", created),
            (f"{name}::failures", ".fs", failures),
        ):
            made = {f"{kind}-{name}-{at:06d}": time for at, time in enumerate(times, start=1)}
            self.answers[f"/{expression}/_stats/store,docs"] = {
                "indices": {each: {"primaries": {"docs": {"count": 7}}} for each in made}
            }
            self.answers[f"/{expression}"] = {
                each: {
                    "settings": {
                        "index": {**index, "creation_date": str(int(time.timestamp() * 1000))}
                    },
                    "mappings": {"_meta": {"ddcolor_templates": made_of}},
                }
                for each, time in made.items()
            }
            names[kind] = list(made)
        self.streams[name] = {
            "indices": [{"index_name": each} for each in names[".ds"]],
            "failure_indices": [{"index_name": each} for each in names[".fs"]],
            "options": {"failure_store": {"enabled": True}} if failure_store else {},
        }

    def sent(self, method: str) -> list[str]:
        """Return the paths of the requests with a method, in their order."""
        return [path for verb, path, _ in self.requests if verb == method]


class _Handler(BaseHTTPRequestHandler):
    server: Memory

    def do_PUT(self) -> None:
        """Take a resource, unless told to refuse or forget it."""
        path, body = self._request()
        if path in self.server.missing:
            return self._no_handler()
        if self.server.refusal:
            return self._answer(400, {"error": self.server.refusal, "status": 400})
        if not self.server.forgets:
            self.server.stored[path] = body
        return self._answer(200, {"acknowledged": True})

    def do_GET(self) -> None:
        """Give a resource in the shape that its kind has."""
        path, _ = self._request()
        if path in self.server.missing:
            return self._no_handler()
        if path == "/_cluster/health":
            return self._answer(*self.server.health)
        if path == "/_cluster/state/metadata":
            return self._answer(
                200, {"metadata": {"data_stream": {"data_stream": self.server.streams}}}
            )
        if path in self.server.answers:
            return self._answer(200, self.server.answers[path])
        if path in {"/_ilm/status", "/_cluster/settings"} or path.endswith("/_options"):
            return self._answer(200, {})
        body = self.server.stored.get(path)
        if body is None:
            return self._answer(404, {})
        name = path.rsplit("/", 1)[-1]
        if path.startswith(("/_ingest", "/_ilm")):
            return self._answer(200, {name: body})
        kind = path.split("/")[1].removeprefix("_")
        return self._answer(200, {f"{kind}s": [{"name": name, kind: body}]})

    def do_POST(self) -> None:
        """Simulate an index template, or answer as told."""
        path, _ = self._request()
        if self.server.unavailable:
            return self._answer(503, {"error": "no shard", "status": 503})
        if self.server.refusal:
            return self._answer(400, {"error": self.server.refusal, "status": 400})
        if path in self.server.answers:
            return self._answer(200, self.server.answers[path])
        simulated = re.fullmatch(r"/_index_template/_simulate_index/(\S+)", path)
        if simulated:
            for stored, body in self.server.stored.items():
                name = stored.removeprefix("/_index_template/")
                if simulated[1].startswith(f"{name}-"):
                    return self._answer(200, {"template": body["template"]})
            return self._answer(200, {"template": {}})
        return self._answer(200, {"acknowledged": True})

    def do_DELETE(self) -> None:
        """Take note of it."""
        self._request()
        return self._answer(200, {"acknowledged": True})

    def _request(self) -> tuple[str, Any]:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(content) if content else None
        self.server.requests.append((self.command, self.path, body))
        return self.path.split("?")[0].replace("%3A", ":"), body

    def _no_handler(self) -> None:
        self._answer(400, {"error": f"no handler found for uri [{self.path}]"})

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


@contextmanager
def running_memory() -> Iterator[Memory]:
    """Run a memory within the block."""
    server = Memory()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
