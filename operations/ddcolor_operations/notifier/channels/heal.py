"""Ask a healer to mend a fault: a signed request for each alert, soon or not at all."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import ClassVar

from ddcolor_operations.notifier.alert import Alert, to_rfc3339
from ddcolor_operations.notifier.channels.base import (
    Channel,
    Delivered,
    Format,
    GiveUp,
    Message,
    Outcome,
    Retry,
)
from ddcolor_operations.notifier.channels.http import Reply, post
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import Section
from ddcolor_operations.notifier.signing import signed_headers

#: What can be mended before it is critical: memory is freed, a model is loaded again.
_KINDS = ("out_of_memory", "output_damaged")


@dataclass(frozen=True, slots=True)
class Heal(Channel):
    """One healer. It knows a request by its alert's id, so one that comes twice acts once."""

    # It reads none of the text.
    FORMAT: ClassVar[Format] = "sms"
    LIMIT: ClassVar[int] = 1000

    url: Secret
    secret: Secret
    kinds: tuple[str, ...]
    timeout_s: float
    expires_s: float
    per_minute: int | None = None

    @classmethod
    def from_section(cls, section: Section) -> Heal:
        """Read the healer's settings."""
        return cls(
            url=section.secret("url"),
            secret=section.secret("secret"),
            kinds=section.texts("kinds") if section.has("kinds") else _KINDS,
            timeout_s=section.number("timeout_s", 10, low=0.1, high=120),
            expires_s=section.number("give_up_after_s", 300, low=1, high=3600),
        )

    @property
    def digests(self) -> bool:
        """Each fault is mended by itself."""
        return False

    @property
    def hears_end(self) -> bool:
        """What is over needs no mending."""
        return False

    @property
    def heals(self) -> frozenset[str]:
        """Return the kinds of fault that it mends below level 3."""
        return frozenset(self.kinds)

    @property
    def give_up_after_s(self) -> float:
        """A restart that was asked for hours ago hits a service that is well."""
        return self.expires_s

    async def send(self, message: Message) -> Outcome:
        """Send the request of the message's one alert."""
        if not message.subjects:
            return GiveUp("the message speaks of no alert")
        body = request_body(message.subjects[0].alert)
        try:
            url, headers = (
                self.url.reveal(),
                signed_headers(self.secret.reveal(), time.time(), body),
            )
        except SecretError as error:
            return Retry(str(error))
        reply = await post(
            url,
            body,
            headers={"Content-Type": "application/json", **headers},
            timeout_s=self.timeout_s,
        )
        return Delivered() if isinstance(reply, Reply) else reply


def request_body(alert: Alert) -> bytes:
    """Return what a healer is told."""
    return json.dumps(
        {
            "alert_id": alert.alert_id,
            "kind": alert.kind,
            "service": alert.service,
            "level": alert.level,
            "occurred_at": to_rfc3339(alert.occurred_at),
        },
        ensure_ascii=False,
    ).encode()
