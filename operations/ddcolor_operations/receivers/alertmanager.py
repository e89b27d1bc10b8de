"""Prometheus Alertmanager's ``POST /api/v2/alerts``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ddcolor_operations.receivers.http import Answer, HttpReceiver, Request

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class AlertmanagerDoor(HttpReceiver):
    """Answers 200 with an empty body; 400 with a JSON text, as the real one does."""

    name = "alertmanager"
    path = "/api/v2/alerts"

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)

    def handle(self, request: Request) -> Answer:
        """Check each alert; keep it, with whether it is still firing."""
        try:
            alerts = json.loads(request.body)
        except ValueError:
            return Answer(400, {"code": 400, "message": "parsing alerts body failed"})
        if not isinstance(alerts, list):
            return Answer(422, {"code": 602, "message": "alerts in body must be an array"})
        for alert in alerts:
            problem = _problem(alert)
            if problem:
                return Answer(400, problem)
        for alert in alerts:
            firing = datetime.fromisoformat(alert["endsAt"]).timestamp() > self.clock()
            text = alert["annotations"].get("alert_id", "")
            self.keep(alert["labels"]["alertname"], text, firing=firing, **alert)
        return Answer(200, None)

    def scripted(self, number: int, text: str) -> dict[str, Any] | Answer:
        """Return an error's text."""
        return Answer(number, text)


def _problem(alert: Any) -> str:
    labels = alert.get("labels") if isinstance(alert, dict) else None
    if not isinstance(labels, dict) or not labels.get("alertname"):
        return "at least one label pair required"
    for name, value in labels.items():
        if _LABEL.fullmatch(name) is None or not isinstance(value, str):
            return f'invalid label set: invalid name "{name}"'
    try:
        starts, ends = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
    except (KeyError, TypeError, ValueError):
        return "invalid time"
    return "start time must be before end time" if ends < starts else ""
