"""Any HTTP interface: the body is the operator's template, signed if they like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ddcolor_operations.notifier.channels.base import FACTS, Message, Outcome, SizedChannel, Subject
from ddcolor_operations.notifier.channels.template import TemplatedRequest
from ddcolor_operations.notifier.occasions import Episode, Escalation
from ddcolor_operations.notifier.settings import Section

_BODY = (
    '{"id": {{ id | tojson }}, "level": {{ level }}, "title": {{ title | tojson }},'
    ' "text": {{ text | tojson }}, "alerts": {{ alerts | tojson }}}'
)
_ALERT = {
    "alert_id": "0" * 32,
    "rule": "rule",
    "kind": "execution_error",
    "level": 2,
    "service": "service",
    "node": None,
    "node_id": None,
    "prompt_id": None,
    "trace_id": None,
    "occurred_at": "2026-01-31T08:30:00.000000Z",
    "summary": "summary",
    "count": 1,
    "values": {},
    "owner": None,
    "held_before": 0,
    "state": "firing",
}
_SAMPLE: dict[str, Any] = {
    "id": "id",
    "level": 2,
    "title": "title",
    "text": "text",
    "alerts": [_ALERT],
    "facts": dict.fromkeys(FACTS, ""),
}


@dataclass(frozen=True, slots=True)
class Webhook(SizedChannel):
    """One address. The other side knows a message by its ``id``, which each try repeats."""

    request: TemplatedRequest
    per_minute: int | None

    @classmethod
    def from_section(cls, section: Section) -> Webhook:
        """Read one webhook's settings."""
        return cls(
            request=TemplatedRequest.from_section(section, _BODY, _SAMPLE),
            max_bytes=section.integer("max_bytes", 4096, low=100, high=100_000),
            per_minute=section.integer("per_minute", 60, low=1, high=6000),
        )

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        return await self.request.send(
            id=message.key,
            level=message.level,
            title=message.title,
            text=message.body,
            alerts=[_shown(subject) for subject in message.subjects],
            facts=dict(message.facts),
        )


def _shown(subject: Subject) -> dict[str, Any]:
    match subject.occasion:
        case Episode(resolved=True):
            state = "resolved"
        case Episode():
            state = "quiet"
        case Escalation():
            state = "escalated"
        case None:
            state = "firing"
    return {**subject.alert.to_json(), "held_before": subject.held_before, "state": state}
