"""What all receivers share: what they keep, and how they are told to misbehave."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Received:
    """One accepted message. ``received_at`` is in seconds since the epoch.

    ``receiver`` is wecom, dingtalk, sms or mail; ``details`` holds what only that one has (mail:
    html, sender, to, message_id, tls; sms: phones, id; robots: msgtype, mentions or at).
    """

    receiver: str
    received_at: float
    title: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the message as JSON data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to misbehave, instead of taking the message."""

    kind: Literal["status", "code", "silence", "hang_up", "swallow"]
    number: int = 0
    text: str = ""

    @classmethod
    def status(cls, number: int) -> Failure:
        """Answer with an HTTP status (or an SMTP reply code) and take nothing."""
        return cls("status", number)

    @classmethod
    def code(cls, number: int, text: str = "scripted") -> Failure:
        """Answer HTTP 200 with this errcode and take nothing."""
        return cls("code", number, text)

    @classmethod
    def silence(cls) -> Failure:
        """Never answer, take nothing."""
        return cls("silence")

    @classmethod
    def hang_up(cls) -> Failure:
        """Close the connection without an answer, take nothing."""
        return cls("hang_up")

    @classmethod
    def swallow(cls) -> Failure:
        """Take the message, then close the connection without an answer."""
        return cls("swallow")


class Receiver:
    """Keeps what was received and what shall go wrong next. Thread-safe."""

    name = "receiver"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.requests = 0
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._failures: deque[Failure] = deque()
        self._observers: list[Callable[[Received], None]] = []

    @property
    def received(self) -> list[Received]:
        """Return the messages taken so far, oldest first."""
        with self._changed:
            return list(self._received)

    def fail(self, failure: Failure, times: int = 1) -> None:
        """Misbehave in this way for the next ``times`` requests, after those already scripted."""
        with self._changed:
            self._failures.extend([failure] * times)

    def behave(self) -> None:
        """Forget the scripted failures."""
        with self._changed:
            self._failures.clear()

    def observe(self, observer: Callable[[Received], None]) -> None:
        """Call ``observer`` with each message taken from now on."""
        self._observers.append(observer)

    def wait_for(self, count: int, timeout_s: float = 30.0) -> list[Received]:
        """Return the messages once there are ``count``; raises TimeoutError that tells them."""
        return self.wait_until(lambda: len(self._received) >= count, timeout_s)

    def wait_for_requests(self, count: int, timeout_s: float = 30.0) -> None:
        """Return once ``count`` requests came, taken or not; raises TimeoutError."""
        self.wait_until(lambda: self.requests >= count, timeout_s)

    def wait_until(self, reached: Callable[[], bool], timeout_s: float) -> list[Received]:
        """Return the messages once ``reached`` holds; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(reached, timeout_s):
                raise TimeoutError(
                    f"{self.name}: after {timeout_s} s there are {len(self._received)} messages"
                    f" of {self.requests} requests: {[m.title for m in self._received]}"
                )
            return list(self._received)

    def next_failure(self) -> Failure | None:
        """Count a request and return what shall go wrong with it."""
        with self._changed:
            self.requests += 1
            self._changed.notify_all()
            return self._failures.popleft() if self._failures else None

    def keep(self, title: str, text: str, **details: Any) -> None:
        """Take a message."""
        message = Received(self.name, self.clock(), title, text, details)
        for observer in self._observers:
            observer(message)
        with self._changed:
            self._received.append(message)
            self._changed.notify_all()


class Rate:
    """Counts requests in the last minute, as the robots do."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: deque[float] = deque()

    def exceeded(self, now: float) -> bool:
        """Count a request at ``now`` and tell whether it is one too many."""
        while self._times and self._times[0] <= now - 60.0:
            self._times.popleft()
        if len(self._times) >= self._per_minute:
            return True
        self._times.append(now)
        return False
