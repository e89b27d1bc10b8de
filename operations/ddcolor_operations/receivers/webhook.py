"""HTTP interfaces that take signed JSON: any webhook, and a healer's."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from ddcolor_operations.notifier.signing import SignatureError, verify
from ddcolor_operations.receivers.http import Answer, HttpReceiver, Request

_ASKED = ("alert_id", "kind", "service", "level", "occurred_at")


class SignedDoor(HttpReceiver):
    """Answers 401 to a signature that is wrong, and knows by its id what comes twice."""

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._secret = secret
        self._seen: set[str] = set()

    def handle(self, request: Request) -> Answer:
        """Check the signature; take the body once."""
        try:
            verify(self._secret, request.headers, request.body, self.clock())
        except SignatureError as error:
            return Answer(401, {"error": str(error)})
        data = request.json() or {}
        id_ = self.identity(data)
        if id_ is None:
            return Answer(400, {"error": "fields are missing, or are too many"})
        if id_ not in self._seen:
            self._seen.add(id_)
            self.take(data)
        return Answer(202, {"status": "taken"})

    @abstractmethod
    def identity(self, data: dict[str, Any]) -> str | None:
        """Return by what a body is known again, or None for one that is wrong."""

    @abstractmethod
    def take(self, data: dict[str, Any]) -> None:
        """Keep a body that is new."""

    def scripted(self, number: int, text: str) -> Answer:
        """Return a refusal."""
        return Answer(number, {"error": text})


class WebhookDoor(SignedDoor):
    """Takes any JSON object that has an ``id``."""

    name = "webhook"
    path = "/webhook"

    def identity(self, data: dict[str, Any]) -> str | None:
        """Return the id."""
        return data["id"] if isinstance(data.get("id"), str) else None

    def take(self, data: dict[str, Any]) -> None:
        """Keep the message."""
        self.keep(str(data.get("title", "")), str(data.get("text", "")), body=data)


class HealerDoor(SignedDoor):
    """Takes requests for healing: exactly the documented fields."""

    name = "heal"
    path = "/heal"

    def identity(self, data: dict[str, Any]) -> str | None:
        """Return the alert's id."""
        return str(data["alert_id"]) if set(data) == set(_ASKED) else None

    def take(self, data: dict[str, Any]) -> None:
        """Keep the request."""
        self.keep(f"{data['kind']} of {data['service']}", data["alert_id"], **data)
