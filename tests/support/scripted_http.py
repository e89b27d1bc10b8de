"""A local HTTP server that answers what a test has scripted and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """``answers`` maps "METHOD /path" (without query) to status and body; the last one stays."""

    url: str
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def script(self, route: str, *answers: tuple[int, Any]) -> None:
        """Answer ``route`` with each of ``answers`` in turn, then always with the last."""
        self.answers[route] = list(answers)


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Serve on a free port of this machine within the block."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            script.asked.append(Asked(self.command, self.path, dict(self.headers.items()), body))
            waiting = script.answers.get(f"{self.command} {self.path.partition('?')[0]}")
            status, content = (404, {"error": "not scripted"}) if not waiting else waiting[0]
            if waiting and len(waiting) > 1:
                waiting.pop(0)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script = ScriptedServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
