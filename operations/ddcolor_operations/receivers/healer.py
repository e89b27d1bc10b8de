"""A healer's door: takes signed requests and acts once on each alert."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ddcolor_operations.notifier.signing import SignatureError, verify
from ddcolor_operations.receivers.http import Answer, HttpReceiver, Request

_FIELDS = ("alert_id", "kind", "service", "level", "occurred_at")


class HealerDoor(HttpReceiver):
    """Answers 202; 401 to a signature that is wrong, 400 to a body that is."""

    name = "heal"
    path = "/heal"

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._secret = secret
        self._seen: set[str] = set()

    def query(self) -> str:
        """Return the query string of its address."""
        return ""

    def handle(self, request: Request) -> Answer:
        """Check signature and fields; keep the request."""
        try:
            verify(self._secret, request.headers, request.body, self.clock())
        except SignatureError as error:
            return Answer(401, {"error": str(error)})
        data = request.json() or {}
        if set(data) != set(_FIELDS):
            return Answer(400, {"error": f"send {', '.join(_FIELDS)}"})
        if data["alert_id"] not in self._seen:
            self._seen.add(data["alert_id"])
            self.keep(f"{data['kind']} of {data['service']}", data["alert_id"], **data)
        return Answer(202, {"status": "requested"})

    def scripted(self, number: int, text: str) -> dict[str, Any] | Answer:
        """Return a refusal."""
        return Answer(number, {"error": text})
