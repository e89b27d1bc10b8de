"""Hands each match of a rule to the notifier, which alone talks to people."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import Any

import requests
from elastalert.util import EAException

from ddcolor_alerts.alert import build_alert, check_metadata
from ddcolor_alerts.jsonlog import EVENT_ALERT_RAISED, EVENT_ALERT_REFUSED, alert_fields
from ddcolor_alerts.notifier import NotifierPost
from ddcolor_alerts.redaction import redact

_LOG = logging.getLogger("ddcolor_alerts.alerter")

# A notifier that restarts is back within a second; what takes longer is left to ElastAlert2, which
# keeps the alert in Elasticsearch and tries again on each of its runs.
_PAUSES_S = (0.2, 0.5)
# After that no alert waits for it, for this long: a hundred alerts must not wait one by one.
_AWAY_S = 1.0
# Sending the same alert again cannot mend these. The notifier says why in its answer.
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class NotifierAlerter(NotifierPost):
    """Posts alerts to ``notifier_url`` + ``/alerts``.

    Raises only EAException, because ElastAlert2 keeps an alert for a later try after that one and
    disables the rule after any other. Sending an alert twice is harmless: its id is made from the
    record, and the notifier takes an id once.
    """

    # Shared by the alerters of all rules, for there is one notifier.
    _next_try = 0.0
    away = False

    def __init__(self, rule: dict[str, Any]) -> None:
        super().__init__(rule)
        check_metadata(rule)

    def alert(self, matches: list[dict[str, Any]]) -> None:
        """Post one alert for each match; raises EAException when one was not taken."""
        for match in matches:
            self._post(build_alert(self.rule, match))

    def get_info(self) -> dict[str, str]:
        """Return what ElastAlert2 writes into its history: no address, no secret."""
        return {"type": "ddcolor-notifier"}

    def _post(self, alert: dict[str, Any]) -> None:
        if time.monotonic() < NotifierAlerter._next_try:
            raise EAException(f"the notifier at {self.notifier} did not answer just now")
        fields = alert_fields(alert)
        for pause in (*_PAUSES_S, None):
            answer = self.post("/alerts", alert)
            if isinstance(answer, str):
                problem = answer
            else:
                NotifierAlerter.away = False
                status = _said(answer, "status")
                if answer.status_code == HTTPStatus.ACCEPTED and status:
                    _LOG.info(
                        "Alert %s of rule %s: %s",
                        alert["alert_id"],
                        alert["rule"],
                        status,
                        extra={"event": EVENT_ALERT_RAISED, "fields": fields},
                    )
                    return
                refusal = _said(answer, "error")
                if answer.status_code in _REFUSALS and refusal:
                    _LOG.error(
                        "The notifier refused an alert of rule %s: %s",
                        alert["rule"],
                        redact(refusal[:500]),
                        extra={"event": EVENT_ALERT_REFUSED, "fields": fields},
                    )
                    return
                problem = f"HTTP {answer.status_code}"
            if pause is not None:
                time.sleep(pause)
        NotifierAlerter.away = True
        NotifierAlerter._next_try = time.monotonic() + _AWAY_S
        raise EAException(
            f"the notifier at {self.notifier} did not take alert {alert['alert_id']}: {problem}"
        )


def _said(answer: requests.Response, name: str) -> str | None:
    """Return a text of the answer's JSON; None when a notifier cannot have answered this.

    An HTTP status alone could come from anything that listens on the port.
    """
    try:
        text = answer.json()[name]
    except (ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None
