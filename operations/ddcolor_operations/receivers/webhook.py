"""Any HTTP interface that takes signed JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ddcolor_operations.notifier.signing import SignatureError, verify
from ddcolor_operations.receivers.http import Answer, HttpReceiver, Request


class WebhookDoor(HttpReceiver):
    """Answers 200; 401 to a signature that is wrong. It knows a message by its id."""

    name = "webhook"
    path = "/webhook"

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._secret = secret
        self._seen: set[str] = set()

    def query(self) -> str:
        """Return the query string of its address."""
        return ""

    def handle(self, request: Request) -> dict[str, Any] | Answer:
        """Check signature and body; keep the message."""
        try:
            verify(self._secret, request.headers, request.body, self.clock())
        except SignatureError as error:
            return Answer(401, {"error": str(error)})
        data = request.json()
        if data is None or not isinstance(data.get("id"), str):
            return Answer(400, {"error": "send a JSON object with an id"})
        if data["id"] not in self._seen:
            self._seen.add(data["id"])
            self.keep(str(data.get("title", "")), str(data.get("text", "")), body=data)
        return {"ok": True}

    def scripted(self, number: int, text: str) -> dict[str, Any] | Answer:
        """Return a refusal."""
        return Answer(number, {"error": text})
