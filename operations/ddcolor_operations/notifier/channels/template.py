"""A request whose address, headers and body come from settings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from ddcolor_operations.notifier.channels.base import Delivered, Outcome, Retry
from ddcolor_operations.notifier.channels.http import Reply, post
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import ConfigError, Section
from ddcolor_operations.notifier.signing import signed_headers
from ddcolor_operations.notifier.text import clean

_ENVIRONMENT = SandboxedEnvironment(undefined=jinja2.StrictUndefined)


def read_template(text: str, where: str, sample: Mapping[str, Any]) -> jinja2.Template:
    """Return a template that can be filled with what ``sample`` holds; raises ConfigError."""
    try:
        template = _ENVIRONMENT.from_string(text)
        template.render(sample)
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}: it may use {', '.join(sample)}") from None
    return template


@dataclass(frozen=True, slots=True)
class TemplatedRequest:
    """How to ask one HTTP interface. ``url`` and the header values carry the account."""

    url: Secret
    method: str
    headers: Mapping[str, Secret]
    body: jinja2.Template
    content_type: str
    signing_secret: Secret | None
    success_field: str
    success_value: str
    timeout_s: float
    proxy_from_env: bool

    @classmethod
    def from_section(
        cls, section: Section, body: str, sample: Mapping[str, Any]
    ) -> TemplatedRequest:
        """Read the settings; ``body`` is used where they give none."""
        headers, success = section.section("headers"), section.section("success")
        signing = section.has("signing_secret")
        request = cls(
            url=section.secret("url"),
            method=section.choice("method", ("POST", "PUT"), "POST"),
            headers={name: headers.secret(name) for name in headers.names()},
            body=read_template(section.text("body", body), section.where("body"), sample),
            content_type=section.text("content_type", "application/json"),
            signing_secret=section.secret("signing_secret") if signing else None,
            success_field=success.text("field", ""),
            success_value=success.text("value", ""),
            timeout_s=section.number("timeout_s", 15, low=0.1, high=120),
            proxy_from_env=section.boolean("proxy_from_env", default=False),
        )
        success.done()
        return request

    async def send(self, **values: Any) -> Outcome:
        """Fill the body with ``values`` and send it."""
        body = self.body.render(values).encode()
        try:
            url = self.url.reveal()
            headers = {name: secret.reveal() for name, secret in self.headers.items()}
            if self.signing_secret is not None:
                headers |= signed_headers(self.signing_secret.reveal(), time.time(), body)
        except SecretError as error:
            return Retry(str(error))
        reply = await post(
            url,
            body,
            headers={"Content-Type": self.content_type, **headers},
            timeout_s=self.timeout_s,
            proxy_from_env=self.proxy_from_env,
            method=self.method,
        )
        if not isinstance(reply, Reply):
            return reply
        if self.success_field:
            data = reply.data if isinstance(reply.data, dict) else {}
            value = str(data.get(self.success_field, ""))
            if value != self.success_value:
                return Retry(f"the answer says {self.success_field}={clean(value, 80)}")
        return Delivered()
