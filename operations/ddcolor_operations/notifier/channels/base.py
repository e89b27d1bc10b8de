"""What a channel is, what it is given, and the four ways in which a try can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Format = Literal["wecom", "plain", "dingtalk", "mail", "sms"]


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message. ``html`` is only made for mail; ``key`` names it for idempotency."""

    title: str
    body: str
    level: int
    key: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The channel confirmed the message; ``note`` says what went only partly well."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The message was not confirmed; ``maybe_sent`` when the channel may have it all the same."""

    error: str
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The channel will never take this message: trying again cannot help."""

    error: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """The channel takes no message of ours for ``seconds``."""

    error: str
    seconds: float


Outcome = Delivered | Retry | GiveUp | Blocked


class Channel(Protocol):
    """One place that messages go to."""

    @property
    def format(self) -> Format:
        """Return which templates its messages are made from."""

    @property
    def limit(self) -> int:
        """Return the most UTF-8 bytes that the text of a message may have."""

    @property
    def per_minute(self) -> int | None:
        """Return how many messages it takes a minute; None for no limit."""

    async def send(self, message: Message) -> Outcome:
        """Send one message. Never raises; no outcome's text holds a secret or an address."""
