"""DingTalk (钉钉) custom robot: markdown or cards with buttons, signed afresh, errcode checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

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
from ddcolor_operations.notifier.settings import Section
from ddcolor_operations.notifier.text import cut_bytes

_REQUEST_LIMIT = 20_000
_TITLE_LIMIT = 120
#: Content refused as unsuitable, request too long, parameters missing: no later try can succeed.
_HOPELESS = frozenset({430101, 430102, 430103, 430104, 460101, 40035, 400106})
#: "Send too fast": the robot then refuses everything for ten minutes.
_PAUSES = {130101: 600.0, 410100: 600.0}


def sign(url: str, secret: str, timestamp_ms: int) -> str:
    """Return ``url`` with timestamp and signature, in place of any that it already carries."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)
    signature = base64.b64encode(digest.digest()).decode()
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query) if k not in {"timestamp", "sign"}]
    query += [("timestamp", str(timestamp_ms)), ("sign", signature)]
    return urlunsplit(parts._replace(query=urlencode(query)))


@dataclass(frozen=True, slots=True)
class DingTalk(Channel):
    """One robot. ``webhook`` is its whole URL as the robot's page shows it, token included."""

    webhook: Secret
    signing_secret: Secret | None
    cards: bool
    mention: Mention
    mention_level: int
    per_minute: int | None
    timeout_s: float
    proxy_from_env: bool

    @classmethod
    def from_section(cls, section: Section) -> DingTalk:
        """Read one robot's settings."""
        mention = section.section("mention")
        robot = cls(
            webhook=section.secret("webhook"),
            signing_secret=(
                section.secret("signing_secret") if section.has("signing_secret") else None
            ),
            cards=section.choice("format", ("markdown", "action_card"), "markdown")
            == "action_card",
            mention=Mention.from_section(mention),
            mention_level=mention.integer("level", 3, low=2, high=3),
            per_minute=section.integer("per_minute", 20, low=1, high=6000),
            timeout_s=section.number("timeout_s", 10, low=0.1, high=120),
            proxy_from_env=section.boolean("proxy_from_env", default=False),
        )
        mention.done()
        return robot

    @property
    def format(self) -> Format:
        """Return which templates its messages are made from."""
        return "dingtalk_card" if self.cards else "dingtalk"

    @property
    def limit(self) -> int:
        """Return the most bytes of a text that surely fits a request, JSON escapes included."""
        return _REQUEST_LIMIT // 2

    def mention_problem(self, mention: Mention) -> str | None:  # noqa: ARG002 - it can call anybody
        """Return why it cannot call these people and what to do, or None when it can."""
        return None

    def default_mention(self, level: int) -> Mention:
        """Return whom a message of this level calls unless the routing says otherwise."""
        return self.mention if level >= self.mention_level else Mention()

    def shape(self, level: int, mention: Mention | None) -> Shape:
        """Return from which templates, and how long, a message that calls ``mention`` is made.

        A card calls nobody, so a message that has to is markdown.
        """
        called = self.default_mention(level) if mention is None else mention
        return Shape("dingtalk" if called else self.format, self.limit)

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        try:
            url = self.webhook.reveal()
            if self.signing_secret is not None:
                url = sign(url, self.signing_secret.reveal(), int(time.time() * 1000))
        except SecretError as error:
            return Retry(str(error))
        except ValueError:
            return Retry("the webhook is not a URL: correct its secret")
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
        """Return the request's body, of at most 20,000 bytes."""
        limit = _REQUEST_LIMIT
        data = self._encode(message, cut_bytes(message.body, limit))
        while len(data) > _REQUEST_LIMIT and limit > 0:
            # A byte of text is one to six of JSON: steps of a sixth never cut too much.
            limit -= (len(data) - _REQUEST_LIMIT) // 6 + 1
            data = self._encode(message, cut_bytes(message.body, limit))
        return data

    def _encode(self, message: Message, text: str) -> bytes:
        called = message.mention
        if called is None:
            called = self.default_mention(message.level)
        title = cut_bytes(message.title, _TITLE_LIMIT)
        data: dict[str, object]
        if self.cards and message.links and not called:
            data = {
                "msgtype": "actionCard",
                "actionCard": {
                    "title": title,
                    "text": text,
                    "btnOrientation": "1",
                    "btns": [
                        {"title": link.title, "actionURL": link.url} for link in message.links
                    ],
                },
            }
        else:
            names = [*called.mobiles, *called.users]
            if names:
                # DingTalk shows a mention in markdown only where the text names it too.
                text += "\n\n" + " ".join(f"@{name}" for name in names)
            data = {
                "msgtype": "markdown",
                "markdown": {"title": title, "text": text},
                "at": {
                    "atMobiles": list(called.mobiles),
                    "atUserIds": list(called.users),
                    "isAtAll": called.everybody,
                },
            }
        return json.dumps(data, ensure_ascii=False).encode()
