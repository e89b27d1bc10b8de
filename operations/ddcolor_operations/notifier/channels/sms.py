"""SMS through any gateway with an HTTP interface: URL, headers and body come from settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ddcolor_operations.notifier.channels.base import Format, Message, Outcome, SizedChannel
from ddcolor_operations.notifier.channels.template import TemplatedRequest
from ddcolor_operations.notifier.settings import ConfigError, Section

_BODY = '{"phones": {{ phones | tojson }}, "text": {{ text | tojson }}, "id": {{ id | tojson }}}'


def read_phones(section: Section) -> tuple[str, ...]:
    """Return the numbers of ``to``; raises ConfigError when there is none."""
    to = section.texts("to")
    if not to:
        raise ConfigError(f"{section.where('to')}: at least one number is needed")
    return to


@dataclass(frozen=True, slots=True)
class Sms(SizedChannel):
    """One gateway."""

    FORMAT: ClassVar[Format] = "sms"

    request: TemplatedRequest
    to: tuple[str, ...]
    per_minute: int | None

    @classmethod
    def from_section(cls, section: Section) -> Sms:
        """Read one gateway's settings."""
        sample = {"phones": ["1"], "text": "text", "id": "id"}
        return cls(
            request=TemplatedRequest.from_section(section, _BODY, sample),
            to=read_phones(section),
            # Two segments of a Chinese SMS are 134 characters of at most 3 bytes.
            max_bytes=section.integer("max_bytes", 402, low=100, high=4000),
            per_minute=section.integer("per_minute", 10, low=1, high=6000),
        )

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        return await self.request.send(phones=list(self.to), text=message.body, id=message.key)
