"""An SMS gateway with an HTTP interface: bearer token, numbers and text as JSON."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import Any

from ddcolor_operations.receivers.http import HttpReceiver, Request


class SmsGateway(HttpReceiver):
    """Answers ``{"code": "OK"}``; a repeated ``id`` is confirmed and not sent again."""

    name = "sms"
    path = "/sms/send"

    def __init__(self, token: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._token = token
        self._seen: set[str] = set()

    def handle(self, request: Request) -> dict[str, Any]:
        """Check token and fields; keep the message."""
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return self.scripted(403, "token refused")
        data = request.json() or {}
        phones, text, id_ = data.get("phones"), data.get("text"), data.get("id")
        if not isinstance(phones, list) or not phones or not isinstance(text, str) or not text:
            return self.scripted(400, "phones and text are needed")
        if not isinstance(id_, str) or id_ not in self._seen:
            self.keep(text[:20], text, phones=phones, id=id_)
            if isinstance(id_, str):
                self._seen.add(id_)
        return {"code": "OK"}

    def scripted(self, number: int, text: str) -> dict[str, Any]:
        """Return the gateway's refusal."""
        return {"code": f"E{number}", "message": text}
