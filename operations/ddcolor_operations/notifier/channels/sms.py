"""SMS through any gateway with an HTTP interface: URL, headers and body come from settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from ddcolor_operations.notifier.channels.base import (
    Channel,
    Delivered,
    Format,
    Message,
    Outcome,
    Retry,
)
from ddcolor_operations.notifier.channels.http import Reply, post
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import ConfigError, Section
from ddcolor_operations.notifier.text import clean

_BODY = '{"phones": {{ phones | tojson }}, "text": {{ text | tojson }}, "id": {{ id | tojson }}}'


@dataclass(frozen=True, slots=True)
class Sms(Channel):
    """One gateway. ``url`` and the header values are secrets, because they carry the account."""

    url: Secret
    headers: Mapping[str, Secret]
    to: tuple[str, ...]
    body: jinja2.Template
    content_type: str
    success_field: str
    success_value: str
    max_bytes: int
    per_minute: int | None
    timeout_s: float
    proxy_from_env: bool

    @classmethod
    def from_section(cls, section: Section) -> Sms:
        """Read one gateway's settings."""
        headers, success = section.section("headers"), section.section("success")
        to = section.texts("to")
        if not to:
            raise ConfigError(f"{section.where('to')}: at least one number is needed")
        sms = cls(
            url=section.secret("url"),
            headers={name: headers.secret(name) for name in headers.names()},
            to=to,
            body=_template(section),
            content_type=section.text("content_type", "application/json"),
            success_field=success.text("field", ""),
            success_value=success.text("value", ""),
            # Two segments of a Chinese SMS are 134 characters of at most 3 bytes.
            max_bytes=section.integer("max_bytes", 402, low=100, high=4000),
            per_minute=section.integer("per_minute", 10, low=1, high=6000),
            timeout_s=section.number("timeout_s", 15, low=0.1, high=120),
            proxy_from_env=section.boolean("proxy_from_env", default=False),
        )
        success.done()
        return sms

    @property
    def format(self) -> Format:
        """Return which templates its messages are made from."""
        return "sms"

    @property
    def limit(self) -> int:
        """Return the most UTF-8 bytes that the text of a message may have."""
        return self.max_bytes

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        try:
            url = self.url.reveal()
            headers = {name: secret.reveal() for name, secret in self.headers.items()}
        except SecretError as error:
            return Retry(str(error))
        reply = await post(
            url,
            self.payload(message),
            headers={"Content-Type": self.content_type, **headers},
            timeout_s=self.timeout_s,
            proxy_from_env=self.proxy_from_env,
        )
        if not isinstance(reply, Reply):
            return reply
        if self.success_field:
            data = reply.data if isinstance(reply.data, dict) else {}
            value = str(data.get(self.success_field, ""))
            if value != self.success_value:
                return Retry(f"the gateway answered {self.success_field}={clean(value, 80)}")
        return Delivered()

    def payload(self, message: Message) -> bytes:
        """Return the request's body."""
        return self.body.render(phones=list(self.to), text=message.body, id=message.key).encode()


def _template(section: Section) -> jinja2.Template:
    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined)
    try:
        template = environment.from_string(section.text("body", _BODY))
        template.render(phones=["1"], text="text", id="id")
    except jinja2.TemplateError as error:
        raise ConfigError(
            f"{section.where('body')}: {error}: it may use phones (a list), text and id"
        ) from None
    return template
