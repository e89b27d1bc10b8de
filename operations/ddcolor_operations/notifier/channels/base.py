"""What a channel is, what it is given, and the four ways in which a try can end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.mentions import Mention
from ddcolor_operations.notifier.occasions import Occasion

#: The names in :attr:`Message.facts`, as the templates of operators use them.
FACTS = ("level", "title", "service", "node", "time", "count", "action", "reference")

Format = Literal["wecom", "wecom_v2", "plain", "dingtalk", "dingtalk_card", "mail", "sms"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One alert that a message speaks of, with those held back before it, and why it speaks."""

    alert: Alert
    held_before: int = 0
    occasion: Occasion = None


class Link(NamedTuple):
    """One place to look further; ``title`` is in the reader's language."""

    title: str
    url: str


class Shape(NamedTuple):
    """Which templates a message is made from, and the most UTF-8 bytes of its text."""

    format: Format
    limit: int


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message.

    ``html`` is only made for mail; ``key`` names the message for idempotency. ``subjects`` are for
    channels that hand on data, ``facts`` (short texts, by the names in :data:`FACTS`) for those
    whose provider has the template, ``links`` for those that show buttons. A ``mention`` of None
    leaves it to the channel.
    """

    title: str
    body: str
    level: int
    key: str
    html: str = ""
    subjects: tuple[Subject, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    mention: Mention | None = None


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


class Channel(ABC):
    """One place that messages go to. What most channels have in common is said here.

    ``per_minute`` is how many messages it takes a minute; None for no limit.
    """

    __slots__ = ()

    #: What :attr:`format` and :attr:`limit` are where no setting changes them.
    FORMAT: ClassVar[Format] = "plain"
    LIMIT: ClassVar[int] = 4096

    per_minute: int | None

    @property
    def format(self) -> Format:
        """Return which templates its messages are made from."""
        return self.FORMAT

    @property
    def limit(self) -> int:
        """Return the most UTF-8 bytes that the text of a message may have."""
        return self.LIMIT

    @property
    def digests(self) -> bool:
        """Tell whether one message may carry several alerts."""
        return True

    @property
    def hears_end(self) -> bool:
        """Tell whether it is told that a fault is over."""
        return True

    @property
    def heals(self) -> frozenset[str] | None:
        """Return the kinds of fault that it mends below level 3; None: it mends nothing."""
        return None

    @property
    def give_up_after_s(self) -> float | None:
        """Return the age at which its messages do harm rather than good; None: never."""
        return None

    def mention_problem(self, mention: Mention) -> str | None:  # noqa: ARG002 - for those who can
        """Return why it cannot call these people and what to do, or None when it can."""
        return "this channel cannot call anybody by name: only wecom and dingtalk can"

    def default_mention(self, level: int) -> Mention:  # noqa: ARG002 - for those who can
        """Return whom a message of this level calls unless the routing says otherwise."""
        return Mention()

    def shape(self, level: int, mention: Mention | None) -> Shape:  # noqa: ARG002 - for those who do
        """Return from which templates, and how long, a message that calls ``mention`` is made."""
        return Shape(self.format, self.limit)

    @abstractmethod
    async def send(self, message: Message) -> Outcome:
        """Send one message. Never raises; no outcome's text holds a secret or an address."""


@dataclass(frozen=True, slots=True)
class SizedChannel(Channel):
    """A channel whose texts may have as many bytes as its settings say."""

    max_bytes: int

    @property
    def limit(self) -> int:
        """Return the most UTF-8 bytes that the text of a message may have."""
        return self.max_bytes
