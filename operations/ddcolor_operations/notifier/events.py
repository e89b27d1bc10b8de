"""The notifier's own log records: the history of alerts, as JSON lines.

No record's message holds a text of an alert: a keyword rule that reads this log would otherwise
fire on its own alert, for ever. What the record speaks of is in its attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfyui_telemetry import semconv
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.outbox import Status


class AlertLog:
    """Writes one record for each thing that happens to an alert."""

    def __init__(self, logger: Any) -> None:
        """Write to ``logger``, a logger of comfyui_telemetry."""
        self._log = logger

    def taken(self, alert: Alert, status: Status) -> None:
        """Record that an alert was accepted or held back; a duplicate leaves no record."""
        if status == "accepted":
            self._log.info(
                "Alert accepted",
                event_name=semconv.EVENT_ALERT_ACCEPTED,
                **_attributes(alert),
                **{semconv.ALERT_STATUS: status},
            )
        elif status == "held_back":
            self._log.info(
                "Alert held back behind an earlier one",
                event_name=semconv.EVENT_ALERT_HELD_BACK,
                **_attributes(alert),
                **{semconv.ALERT_STATUS: status},
            )

    def delivered(self, channel: str, items: Sequence[Item], note: str | None) -> None:
        """Record a confirmed message, once for each alert that it carried."""
        for item in items:
            attributes = self._delivery(channel, item, "delivered")
            if note:
                attributes[semconv.ERROR_MESSAGE] = note
            what = "Alert" if item.episode is None else "End of an episode"
            self._log.info(
                f"{what} delivered to {channel}",
                event_name=semconv.EVENT_ALERT_DELIVERED,
                **attributes,
            )

    def failed(self, channel: str, items: Sequence[Item], status: str, error: str) -> None:
        """Record a failed try; ``status`` is ``retry`` or ``dead``."""
        for item in items:
            attributes = self._delivery(channel, item, status)
            attributes[semconv.ERROR_MESSAGE] = error
            if status == "dead":
                self._log.error(
                    f"Alert not delivered to {channel}, given up",
                    event_name=semconv.EVENT_ALERT_FAILED,
                    **attributes,
                )
            else:
                self._log.warning(
                    f"Alert not delivered to {channel} yet",
                    event_name=semconv.EVENT_ALERT_FAILED,
                    **attributes,
                )

    def trouble(self, message: str, error: str) -> None:
        """Record a trouble of the notifier itself; ``message`` is one of our own texts."""
        self._log.error(message, **{semconv.ERROR_MESSAGE: error})

    def note(self, message: str) -> None:
        """Record what the notifier did; ``message`` is one of our own texts."""
        self._log.info(message)

    @staticmethod
    def _delivery(channel: str, item: Item, status: str) -> dict[str, Any]:
        return _attributes(item.alert) | {
            semconv.ALERT_CHANNEL: channel,
            semconv.ALERT_STATUS: status,
            semconv.ALERT_ATTEMPTS: item.attempts,
            semconv.ALERT_HELD_BACK: item.held_before,
        }


def _attributes(alert: Alert) -> dict[str, Any]:
    return {
        semconv.ALERT_ID: alert.alert_id,
        semconv.ALERT_RULE: alert.rule,
        semconv.ALERT_KIND: alert.kind,
        semconv.ALERT_LEVEL: alert.level,
    }
