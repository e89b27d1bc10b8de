"""The notifier's own log records: the history of alerts, as JSON lines.

No record's message holds a text of an alert: a keyword rule that reads this log would otherwise
fire on its own alert, for ever. What the record speaks of is in its attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from comfyui_telemetry import semconv
from ddcolor_operations.notifier.acknowledgements import Acknowledged
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.episodes import Told
from ddcolor_operations.notifier.occasions import Form
from ddcolor_operations.notifier.outbox import Status

_TAKEN = {
    "accepted": ("Alert accepted", semconv.EVENT_ALERT_ACCEPTED),
    "held_back": ("Alert held back behind an earlier one", semconv.EVENT_ALERT_HELD_BACK),
}
_WHAT = {
    Form.ALERT: "Alert",
    Form.ESCALATION: "Escalation",
    Form.HELD_OVER: "Alert of the quiet hours",
    Form.OVER: "End of an episode",
}


class AlertLog:
    """Writes one record for each thing that happens to an alert."""

    def __init__(self, logger: Any) -> None:
        """Write to ``logger``, a logger of comfyui_telemetry."""
        self._log = logger

    def taken(self, alert: Alert, status: Status) -> None:
        """Record that an alert was accepted or held back; a duplicate leaves no record."""
        if status == "duplicate":
            return
        text, event = _TAKEN[status]
        with _in_trace_of(alert):
            self._log.info(
                text, event_name=event, **_attributes(alert), **{semconv.ALERT_STATUS: status}
            )

    def delivered(self, channel: str, items: Sequence[Item], note: str | None, now: float) -> None:
        """Record a confirmed message, once for each alert that it carried."""
        for item in items:
            attributes = self._delivery(channel, item, "delivered")
            if note:
                attributes[semconv.ERROR_MESSAGE] = note
            if item.occasion is None:
                waited = now - item.alert.occurred_at.timestamp()
                attributes[semconv.ALERT_TIME_TO_DELIVER] = max(waited, 0.0)
            with _in_trace_of(item.alert):
                self._log.info(
                    f"{_WHAT[item.form]} delivered to {channel}",
                    event_name=semconv.EVENT_ALERT_DELIVERED,
                    **attributes,
                )

    def failed(self, channel: str, items: Sequence[Item], status: str, error: str) -> None:
        """Record a failed try; ``status`` is ``retry`` or ``dead``."""
        for item in items:
            attributes = self._delivery(channel, item, status)
            attributes[semconv.ERROR_MESSAGE] = error
            dead = status == "dead"
            say = self._log.error if dead else self._log.warning
            with _in_trace_of(item.alert):
                say(
                    f"Alert not delivered to {channel}{', given up' if dead else ' yet'}",
                    event_name=semconv.EVENT_ALERT_FAILED,
                    **attributes,
                )

    def told(self, told: Told) -> None:
        """Record the ends of episodes and the calls because nobody acknowledged."""
        for alert, episode in told.ended:
            with _in_trace_of(alert):
                self._log.info(
                    "Episode is resolved" if episode.resolved else "Episode has gone quiet",
                    event_name=semconv.EVENT_ALERT_RESOLVED,
                    **_attributes(alert),
                    **{
                        semconv.ALERT_STATUS: "resolved" if episode.resolved else "quiet",
                        semconv.ALERT_TOTAL: episode.total,
                    },
                )
        for alert, call in told.escalated:
            with _in_trace_of(alert):
                self._log.warning(
                    "Nobody acknowledged an episode, others are called",
                    event_name=semconv.EVENT_ALERT_ESCALATED,
                    **_attributes(alert),
                    **{semconv.ALERT_ESCALATION: call.step, semconv.ALERT_TOTAL: call.total},
                )

    def acknowledged(self, taken: Acknowledged) -> None:
        """Record that somebody took an episode on, and how long that took."""
        attributes = _attributes(taken.alert) | {semconv.ALERT_TIME_TO_ACK: taken.waited_s}
        if taken.by:
            attributes[semconv.ALERT_ACKNOWLEDGED_BY] = taken.by
        with _in_trace_of(taken.alert):
            self._log.info(
                "Episode acknowledged", event_name=semconv.EVENT_ALERT_ACKNOWLEDGED, **attributes
            )

    def alive(self, active: int) -> None:
        """Record that the notifier works, and how many episodes are not over."""
        self._log.info(
            "Notifier heartbeat",
            event_name=semconv.EVENT_NOTIFIER_HEARTBEAT,
            **{semconv.ALERT_ACTIVE: active},
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


def _in_trace_of(alert: Alert) -> AbstractContextManager[object]:
    """Return the context in which a record belongs to the trace of the fault.

    Whoever looks at the trace then sees who was told of it, and an alert leads to its trace.
    """
    if alert.trace_id is None:
        return nullcontext()
    # The span is unknown: alerts name none. Zero is OpenTelemetry's "none".
    known = SpanContext(int(alert.trace_id, 16), 0, is_remote=True)
    return trace.use_span(NonRecordingSpan(known))


def _attributes(alert: Alert) -> dict[str, Any]:
    return {
        semconv.ALERT_ID: alert.alert_id,
        semconv.ALERT_RULE: alert.rule,
        semconv.ALERT_KIND: alert.kind,
        semconv.ALERT_LEVEL: alert.level,
    }
