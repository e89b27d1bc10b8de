"""Prometheus Alertmanager: each fault is one of its alerts, by its API v2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ddcolor_operations.notifier.alert import to_rfc3339
from ddcolor_operations.notifier.channels.base import (
    Channel,
    Delivered,
    GiveUp,
    Message,
    Outcome,
    Retry,
    Subject,
)
from ddcolor_operations.notifier.channels.http import Reply, post
from ddcolor_operations.notifier.occasions import Episode
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import Section
from ddcolor_operations.notifier.text import clean

_SEVERITIES = {1: "info", 2: "warning", 3: "critical"}
_PATH = "/api/v2/alerts"


@dataclass(frozen=True, slots=True)
class Alertmanager(Channel):
    """One Alertmanager; ``url`` is where its page is, ``headers`` may hold a login.

    ``lasts_s`` is how long an alert stays firing that nothing more is heard of: longer than the
    notifier waits before it calls a fault over.
    """

    url: Secret
    headers: Mapping[str, Secret]
    lasts_s: float
    timeout_s: float
    per_minute: int | None = None

    @classmethod
    def from_section(cls, section: Section) -> Alertmanager:
        """Read one Alertmanager's settings."""
        headers = section.section("headers")
        return cls(
            url=section.secret("url"),
            headers={name: headers.secret(name) for name in headers.names()},
            lasts_s=section.number("lasts_s", 900, low=60, high=7 * 86400),
            timeout_s=section.number("timeout_s", 10, low=0.1, high=120),
        )

    async def send(self, message: Message) -> Outcome:
        """Send the alerts of one message."""
        now = datetime.now(UTC)
        alerts = [self._alert(subject, message, now) for subject in message.subjects]
        try:
            url = self.url.reveal().rstrip("/") + _PATH
            headers = {name: secret.reveal() for name, secret in self.headers.items()}
        except SecretError as error:
            return Retry(str(error))
        reply = await post(
            url,
            json.dumps(alerts, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json", **headers},
            timeout_s=self.timeout_s,
            read_refusals=True,
        )
        if not isinstance(reply, Reply):
            return reply
        if reply.status == 400:
            return GiveUp(f"HTTP 400: {clean(reply.data, 200)}")
        return Delivered() if reply.status < 300 else Retry(f"HTTP {reply.status}")

    def _alert(self, subject: Subject, message: Message, now: datetime) -> dict[str, Any]:
        alert, occasion = subject.alert, subject.occasion
        annotations = {
            "summary": message.title if len(message.subjects) == 1 else alert.summary,
            "description": alert.summary,
            "rule": alert.rule,
            "node": alert.node or "",
            "owner": alert.owner or "",
            "trace_id": alert.trace_id or "",
            "alert_id": alert.alert_id,
            "count": str(alert.count + subject.held_before),
        }
        starts, ends = alert.occurred_at, now + timedelta(seconds=self.lasts_s)
        if isinstance(occasion, Episode):
            starts, ends = datetime.fromtimestamp(occasion.since, UTC), now
            annotations["count"] = str(occasion.total)
        return {
            # Only what every alert of an episode shares: the end must name the same alert.
            "labels": {
                "alertname": alert.kind,
                "service": alert.service,
                "level": str(alert.level),
                "severity": _SEVERITIES[alert.level],
            },
            "annotations": {name: text for name, text in annotations.items() if text},
            # A clock that is ahead must not make an alert that ends before it starts.
            "startsAt": to_rfc3339(min(starts, now)),
            "endsAt": to_rfc3339(ends),
            **({"generatorURL": message.links[0].url} if message.links else {}),
        }
