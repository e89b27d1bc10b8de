"""The HTTP side of a receiver: one request in, one answer out."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ddcolor_operations.receivers.base import Receiver


@dataclass(frozen=True, slots=True)
class Request:
    """One POST: query parameters as they came (a name may come twice), headers, body."""

    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes

    def parameter(self, name: str) -> str | None:
        """Return a parameter that came exactly once."""
        values = [value for key, value in self.query if key == name]
        return values[0] if len(values) == 1 else None

    def json(self) -> dict[str, Any] | None:
        """Return the body's JSON object, or None."""
        try:
            data = json.loads(self.body)
        except ValueError:
            return None
        return data if isinstance(data, dict) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with a status of its own; ``data`` of None is an empty body."""

    status: int
    data: Any


class HttpReceiver(Receiver):
    """A receiver that is reached by a POST to :attr:`path`."""

    path = "/"

    @abstractmethod
    def handle(self, request: Request) -> dict[str, Any] | Answer:
        """Check the request and keep the message if it is good.

        Return the answer's JSON, with a status of its own if it is not 200.
        """

    @abstractmethod
    def scripted(self, number: int, text: str) -> dict[str, Any] | Answer:
        """Return the answer that says code ``number``, or whose code is ``text``."""

    def query(self) -> str:
        """Return the query string that a well-behaved sender's webhook has."""
        return ""
