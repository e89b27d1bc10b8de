"""WeCom (企业微信) group robot: markdown or text, errcode checked, 20 messages a minute."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ddcolor_operations.notifier.channels.base import (
    Blocked,
    Delivered,
    Format,
    GiveUp,
    Message,
    Outcome,
    Retry,
)
from ddcolor_operations.notifier.channels.http import Reply, post, robot_code
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import ConfigError, Section
from ddcolor_operations.notifier.text import cut_bytes

#: Most bytes of the content, by message type.
_LIMITS = {"markdown": 4096, "text": 2048}
#: Invalid message type, content too long, content empty: no later try can succeed.
_HOPELESS = frozenset({40008, 40058, 44004})
_TOO_FAST = 45009


@dataclass(frozen=True, slots=True)
class WeCom:
    """One robot. ``webhook`` is its whole URL as the robot's page shows it, key included."""

    webhook: Secret
    message_type: str
    mention_users: tuple[str, ...]
    mention_mobiles: tuple[str, ...]
    mention_level: int
    per_minute: int | None
    timeout_s: float
    proxy_from_env: bool

    @classmethod
    def from_section(cls, section: Section) -> WeCom:
        """Read one robot's settings."""
        message_type = section.choice("format", ("markdown", "text"), "markdown")
        mention = section.section("mention")
        users, mobiles = mention.texts("users"), mention.texts("mobiles")
        level = mention.integer("level", 3, low=2, high=3)
        mention.done()
        if message_type == "markdown" and (mobiles or "@all" in users):
            raise ConfigError(
                f"{mention.where('users')}: WeCom's markdown mentions user ids only: for mobiles"
                " and @all set format: text"
            )
        return cls(
            webhook=section.secret("webhook"),
            message_type=message_type,
            mention_users=users,
            mention_mobiles=mobiles,
            mention_level=level,
            per_minute=section.integer("per_minute", 20, low=1, high=6000),
            timeout_s=section.number("timeout_s", 10, low=0.1, high=120),
            proxy_from_env=section.boolean("proxy_from_env", default=False),
        )

    @property
    def format(self) -> Format:
        """Return which templates its messages are made from."""
        return "wecom" if self.message_type == "markdown" else "plain"

    @property
    def limit(self) -> int:
        """Return the most bytes of a text, with room for the mentions."""
        return _LIMITS[self.message_type] - len(self._mentions().encode())

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
        answer = robot_code(reply)
        if isinstance(answer, Retry):
            return answer
        code, text = answer
        reason = f"errcode {code}: {text}"
        if code == 0:
            return Delivered()
        if code == _TOO_FAST:
            return Blocked(reason, 60.0)
        return GiveUp(reason) if code in _HOPELESS else Retry(reason)

    def payload(self, message: Message) -> bytes:
        """Return the request's body; the content never exceeds the robot's limit."""
        loud = message.level >= self.mention_level
        content = cut_bytes(message.body, self.limit)
        inner: dict[str, object] = {"content": content + (self._mentions() if loud else "")}
        if self.message_type == "text" and loud:
            inner["mentioned_list"] = list(self.mention_users)
            inner["mentioned_mobile_list"] = list(self.mention_mobiles)
        return json.dumps(
            {"msgtype": self.message_type, self.message_type: inner}, ensure_ascii=False
        ).encode()

    def _mentions(self) -> str:
        if self.message_type == "text" or not self.mention_users:
            return ""
        return "\n" + " ".join(f"<@{user}>" for user in self.mention_users)
