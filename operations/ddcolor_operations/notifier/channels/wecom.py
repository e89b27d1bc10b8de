"""WeCom (企业微信) group robot: markdown or text, errcode checked, 20 messages a minute."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ddcolor_operations.notifier.channels.base import (
    Channel,
    Format,
    Message,
    Outcome,
    Retry,
    Shape,
)
from ddcolor_operations.notifier.channels.http import Reply, post, robot_outcome
from ddcolor_operations.notifier.mentions import Mention
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import ConfigError, Section
from ddcolor_operations.notifier.text import cut_bytes

#: Most bytes of the content, by message type.
_LIMITS = {"markdown": 4096, "markdown_v2": 4096, "text": 2048}
_FORMATS: dict[str, Format] = {"markdown": "wecom", "markdown_v2": "wecom_v2", "text": "plain"}
#: Invalid message type, content too long, content empty: no later try can succeed.
_HOPELESS = frozenset({40008, 40058, 44004})
#: "Out of its limit": for how many seconds the robot takes nothing.
_PAUSES = {45009: 60.0}


@dataclass(frozen=True, slots=True)
class WeCom(Channel):
    """One robot. ``webhook`` is its whole URL as the robot's page shows it, key included."""

    webhook: Secret
    message_type: str
    mention: Mention
    mention_level: int
    per_minute: int | None
    timeout_s: float
    proxy_from_env: bool

    @classmethod
    def from_section(cls, section: Section) -> WeCom:
        """Read one robot's settings."""
        mention = section.section("mention")
        robot = cls(
            webhook=section.secret("webhook"),
            message_type=section.choice("format", tuple(_LIMITS), "markdown"),
            mention=Mention.from_section(mention),
            mention_level=mention.integer("level", 3, low=2, high=3),
            per_minute=section.integer("per_minute", 20, low=1, high=6000),
            timeout_s=section.number("timeout_s", 10, low=0.1, high=120),
            proxy_from_env=section.boolean("proxy_from_env", default=False),
        )
        mention.done()
        problem = robot.mention_problem(robot.mention)
        if problem is not None:
            raise ConfigError(f"{section.where('mention')}: {problem}")
        return robot

    @property
    def format(self) -> Format:
        """Return which templates its messages are made from."""
        return _FORMATS[self.message_type]

    @property
    def limit(self) -> int:
        """Return the most bytes of a text that calls nobody."""
        return _LIMITS[self.message_type]

    def mention_problem(self, mention: Mention) -> str | None:
        """Return why it cannot call these people and what to do, or None when it can."""
        if not mention or self.message_type == "text":
            return None
        if self.message_type == "markdown_v2":
            return "WeCom's markdown_v2 can call nobody: set format: markdown, or text"
        if mention.mobiles or mention.everybody or "@all" in mention.users:
            return (
                "WeCom's markdown calls user ids only: for mobiles and everybody set format: text"
            )
        return None

    def default_mention(self, level: int) -> Mention:
        """Return whom a message of this level calls unless the routing says otherwise."""
        return self.mention if level >= self.mention_level else Mention()

    def shape(self, level: int, mention: Mention | None) -> Shape:
        """Return from which templates, and how long, a message that calls ``mention`` is made."""
        tail = self._tail(self.default_mention(level) if mention is None else mention)
        return Shape(self.format, self.limit - len(tail.encode()))

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        try:
            url = self.webhook.reveal()
        except SecretError as error:
            return Retry(str(error))
        reply = await post(
            url,
            self.payload(message),
            headers={"Content-Type": "application/json"},
            timeout_s=self.timeout_s,
            proxy_from_env=self.proxy_from_env,
        )
        if not isinstance(reply, Reply):
            return reply
        return robot_outcome(reply, pauses=_PAUSES, hopeless=_HOPELESS)

    def payload(self, message: Message) -> bytes:
        """Return the request's body; the content never exceeds the robot's limit."""
        called = message.mention
        if called is None:
            called = self.default_mention(message.level)
        tail = self._tail(called)
        content = cut_bytes(message.body, self.limit - len(tail.encode())) + tail
        inner: dict[str, object] = {"content": content}
        if self.message_type == "text" and called:
            everybody = ["@all"] if called.everybody else []
            inner["mentioned_list"] = [*called.users, *everybody]
            inner["mentioned_mobile_list"] = list(called.mobiles)
        return json.dumps(
            {"msgtype": self.message_type, self.message_type: inner}, ensure_ascii=False
        ).encode()

    def _tail(self, called: Mention) -> str:
        """Return what markdown calls people with; a text does it in a field of its own."""
        if self.message_type != "markdown" or not called.users:
            return ""
        return "\n" + " ".join(f"<@{user}>" for user in called.users)
