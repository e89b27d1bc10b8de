"""Serve HTTP receivers from threads of this process: each at its own path, all on one port."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ddcolor_operations.receivers.base import Receiver
from ddcolor_operations.receivers.http import Answer, HttpReceiver, Request

_BODY_LIMIT = 1024 * 1024


class ReceiverServer:
    """Listens for the receivers' senders; ``GET /received`` shows what ``shown`` have taken."""

    def __init__(
        self, receivers: Sequence[HttpReceiver], port: int = 0, shown: Sequence[Receiver] = ()
    ) -> None:
        """Bind 127.0.0.1:``port`` (0: any free one); raises OSError when it is taken."""
        self._receivers = {receiver.path: receiver for receiver in receivers}
        self._shown = [*receivers, *shown]
        self._ending = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                owner._post(self)

            def do_GET(self) -> None:
                owner._get(self)

            def log_message(self, *_: object) -> None:
                """Log nothing: a request line holds the key."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="receivers",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self._server.server_address[1])

    def url(self, receiver: HttpReceiver) -> str:
        """Return the webhook of ``receiver``, with its key."""
        query = receiver.query()
        return f"http://127.0.0.1:{self.port}{receiver.path}" + (f"?{query}" if query else "")

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; requests that are kept waiting are dropped."""
        self._ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        match urlsplit(handler.path).path:
            case "/received":
                messages = [m for receiver in self._shown for m in receiver.received]
                messages.sort(key=lambda message: message.received_at)
                _answer(handler, 200, {"messages": [message.to_json() for message in messages]})
            case "/healthz":
                _answer(handler, 200, {"status": "ok"})
            case _:
                _answer(handler, 404, {"error": "only /received and /healthz are here"})

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        receiver = self._receivers.get(parts.path)
        length = handler.headers.get("Content-Length", "")
        if receiver is None or not length.isdigit() or int(length) > _BODY_LIMIT:
            handler.close_connection = True
            _answer(handler, 404 if receiver is None else 413, {"error": "not taken"})
            return
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(query, dict(handler.headers.items()), handler.rfile.read(int(length)))
        failure = receiver.next_failure()
        match failure.kind if failure else None:
            case "silence":
                self._ending.wait()
                handler.close_connection = True
            case "hang_up":
                handler.close_connection = True
            case "swallow":
                receiver.handle(request)
                handler.close_connection = True
            case "status" if failure:
                _answer(handler, failure.number, {"error": "scripted"})
            case "code" if failure:
                _reply(handler, receiver.scripted(failure.number, failure.text))
            case _:
                _reply(handler, receiver.handle(request))


def _reply(handler: BaseHTTPRequestHandler, said: dict[str, Any] | Answer) -> None:
    answer = said if isinstance(said, Answer) else Answer(200, said)
    _answer(handler, answer.status, answer.data)


def _answer(handler: BaseHTTPRequestHandler, status: int, data: object) -> None:
    body = b"" if data is None else json.dumps(data, ensure_ascii=False).encode()
    # The sender may be gone (a killed notifier): nobody is left to tell.
    with contextlib.suppress(ConnectionError):
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextlib.contextmanager
def serve(
    *receivers: HttpReceiver, port: int = 0, shown: Sequence[Receiver] = ()
) -> Iterator[ReceiverServer]:
    """Serve ``receivers`` within the context."""
    server = ReceiverServer(receivers, port, shown)
    server.start()
    try:
        yield server
    finally:
        server.stop()
