"""The real ElastAlert2 with the project's rules, and a notifier's stand-in that writes down alerts.

The stand-in can be taken away (nothing listens) and brought back on the same port, as a restarted
notifier would be; like the notifier it takes an alert id once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ddcolor_operations.layout import project_root
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain import elastalert

from .elastic import Process, eventually, free_ports


class HasUrl(Protocol):
    """Whatever takes alerts at an address: the stand-in below, or a notifier's process."""

    @property
    def url(self) -> str:
        """Return the address."""


class AlertSink:
    """Takes ``POST /alerts`` and ``POST /heartbeats`` on a port of 127.0.0.1.

    ``received`` holds every alert with the time of its arrival, re-sent ones included,
    ``heartbeats`` every heartbeat; ``status`` is what it answers.
    """

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.status = 202
        self.received: list[tuple[float, dict[str, Any]]] = []
        self.heartbeats: list[dict[str, Any]] = []
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The notifier's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert self.path in ("/alerts", "/heartbeats")
                if sink.status == 202 and self.path == "/heartbeats":
                    sink.heartbeats.append(body)
                elif sink.status == 202:
                    sink.received.append((time.time(), body))
                taken = {"alert_id": body.get("alert_id"), "status": "accepted"}
                answer = json.dumps(taken).encode()
                self.send_response(sink.status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening: who posts now is refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def alerts(self, **fields: object) -> list[dict[str, Any]]:
        """Return the alerts with these fields, each id once, in the order of their arrival."""
        first: dict[str, dict[str, Any]] = {}
        for _, alert in list(self.received):
            if all(alert[name] == value for name, value in fields.items()):
                first.setdefault(alert["alert_id"], alert)
        return list(first.values())


class ReadyPart:
    """A part of the stack with ``--ready-file`` and ``--log-file``, for which ``folder`` has room.

    It can be stopped, killed and started again.
    """

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        name: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = folder / f"{name}.ready"
        self.log_file = folder / f"{name}.jsonl"
        files = ("--ready-file", str(self.ready_file), "--log-file", str(self.log_file))
        launch = LaunchSpec((*argv, *files), environment or {})
        self.process = Process(lambda: launch, folder / f"{name}.out")

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.ready_file.unlink(missing_ok=True)
        self.process.start()
        eventually(self.ready_file.exists, timeout_s=60)

    def stop(self) -> None:
        """End it in good order."""
        self.process.stop()

    def kill(self) -> None:
        """End it, and what it has started, at once."""
        self.process.kill()


class Alerting(ReadyPart):
    """ElastAlert2 as the stack runs it; it is ready when all rules have run."""

    def __init__(
        self, elasticsearch_url: str, sink: HasUrl, folder: Path, rules: Path | None = None
    ) -> None:
        home = project_root() / "elastalert_rules"
        address = urlsplit(elasticsearch_url)
        python = elastalert.ensure(print).python
        environment = {
            "PYTHONPATH": str(home),
            "ES_HOST": str(address.hostname),
            "ES_PORT": str(address.port),
            "DDCOLOR_NOTIFIER_URL": sink.url,
            "DDCOLOR_RULES_FOLDER": str(rules or home / "rules"),
        }
        argv = (str(python), "-m", "ddcolor_alerts.launcher", "--config", str(home / "config.yaml"))
        super().__init__(argv, folder, "elastalert", environment)

    def wait_rounds(self, rounds: int = 3) -> None:
        """Wait until all rules have run ``rounds`` more times.

        What was visible in Elasticsearch before has been seen, and has been sent, by then.
        """
        for _ in range(rounds):
            before = self._round()
            eventually(lambda old=before: self._round() != old)  # type: ignore[misc]

    def log_lines(self, **fields: object) -> list[dict[str, Any]]:
        """Return the JSON log lines that have these fields."""
        text = self.log_file.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if _has(line, fields)]

    def _round(self) -> object:
        try:
            return json.loads(self.ready_file.read_text(encoding="utf-8"))["time"]
        except FileNotFoundError:
            return None


def _has(line: Mapping[str, Any], fields: Mapping[str, object]) -> bool:
    return all(line.get(name) == value for name, value in fields.items())
