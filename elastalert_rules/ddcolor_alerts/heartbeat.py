"""Tells the notifier that the alerting chain works, once for each sign of life of a service.

The sign is a log record like any other: it came by file, collector, Elasticsearch and rule, so the
notifier, which misses it when it stays away, watches all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ddcolor_alerts.alert import occurred_at, rfc3339, service_of
from ddcolor_alerts.notifier import NotifierPost

# Which of the two ways a heartbeat came; the log watcher puts its own name here.
PATH = "elasticsearch"


class HeartbeatAlerter(NotifierPost):
    """Posts to ``notifier_url`` + ``/heartbeats``, for each service the newest of its matches.

    It never raises: ElastAlert2 would keep the heartbeat and send it later, when it proves nothing
    any more.
    """

    def alert(self, matches: list[dict[str, Any]]) -> None:
        """Post one heartbeat for each service; a notifier that is away misses it, as it should."""
        newest = {}
        for match in sorted(matches, key=lambda match: occurred_at(self.rule, match)):
            newest[service_of(self.rule, match)] = match
        for match in newest.values():
            self.post("/heartbeats", self.message(self.rule, match))

    @staticmethod
    def message(rule: Mapping[str, Any], match: Mapping[str, Any]) -> dict[str, str]:
        """Return the JSON object that the notifier's ``POST /heartbeats`` takes."""
        return {
            "path": PATH,
            "service": service_of(rule, match),
            "occurred_at": rfc3339(occurred_at(rule, match)),
        }

    def get_info(self) -> dict[str, str]:
        """Return what ElastAlert2 would write into its history."""
        return {"type": "ddcolor-heartbeat"}
