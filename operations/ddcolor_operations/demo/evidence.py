"""What the notifier and the receivers say, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_REFERENCE_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Sending:
    """The notifier's own view of one alert on one channel."""

    status: str
    attempts: int
    delivered_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as ``GET /alerts`` of the notifier shows it."""

    alert_id: str
    rule: str
    kind: str
    level: int
    service: str
    status: str
    occurred_at: datetime
    received_at: datetime
    trace_id: str | None
    sendings: Mapping[str, Sending]

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes two alerts the same error for the notifier's 5-minute window."""
        return self.service, self.kind, self.level

    @property
    def reference(self) -> str:
        """The short id that every message about this alert carries."""
        return self.alert_id[:_REFERENCE_LENGTH]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Alert:
        """Read one element of the notifier's ``alerts``."""
        return cls(
            alert_id=data["alert_id"],
            rule=data["rule"],
            kind=data["kind"],
            level=data["level"],
            service=data["service"],
            status=data["status"],
            occurred_at=datetime.fromisoformat(data["occurred_at"]),
            received_at=datetime.fromisoformat(data["received_at"]),
            trace_id=data["trace_id"],
            sendings={item["channel"]: _sending(item) for item in data["deliveries"]},
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message at a receiver that accepted it; the time is the receiver's clock."""

    channel: str
    text: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that has arrived so far."""

    alerts: Sequence[Alert]
    arrivals: Sequence[Arrival]

    def of(self, alert: Alert, channel: str) -> list[Arrival]:
        """Return the messages about ``alert`` on ``channel``."""
        return [a for a in self.arrivals if a.channel == channel and alert.reference in a.text]


def _sending(data: Mapping[str, Any]) -> Sending:
    moment = data["delivered_at"]
    return Sending(
        status=data["status"],
        attempts=data["attempts"],
        delivered_at=None if moment is None else datetime.fromisoformat(moment),
        error=data["error"],
    )
