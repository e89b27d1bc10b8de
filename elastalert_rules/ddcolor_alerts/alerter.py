"""Hands each match of a rule to the notifier, which alone talks to people."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from elastalert.alerts import Alerter
from elastalert.util import EAException

from ddcolor_alerts.alert import build_alert, check_metadata
from ddcolor_alerts.jsonlog import EVENT_ALERT_RAISED, EVENT_ALERT_REFUSED, alert_fields
from ddcolor_alerts.redaction import redact

_LOG = logging.getLogger("ddcolor_alerts.alerter")

# A notifier that restarts is back within a second; what takes longer is left to ElastAlert2, which
# keeps the alert in Elasticsearch and tries again on each of its runs.
_PAUSES_S = (0.2, 0.5)
_TIMEOUT_S = (2.0, 5.0)
# After that no alert waits for it, for this long: a hundred alerts must not wait one by one.
_AWAY_S = 1.0
# Sending the same alert again cannot mend these. The notifier says why in its answer.
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


class NotifierAlerter(Alerter):  # type: ignore[misc]  # ElastAlert2 has no types
    """Posts alerts to ``notifier_url`` + ``/alerts``.

    Raises only EAException, because ElastAlert2 keeps an alert for a later try after that one and
    disables the rule after any other. Sending an alert twice is harmless: its id is made from the
    record, and the notifier takes an id once.
    """

    required_options = frozenset({"notifier_url", "x-ddcolor"})

    # Shared by the alerters of all rules, for there is one notifier.
    _next_try = 0.0
    away = False

    def __init__(self, rule: dict[str, Any]) -> None:
        super().__init__(rule)
        check_metadata(rule)
        url = urlsplit(str(rule["notifier_url"]))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise EAException(
                f"{rule['name']}: notifier_url is not an http address: is the variable set?"
            )
        self._url = str(rule["notifier_url"]).rstrip("/") + "/alerts"
        # What is said in logs and written back to Elasticsearch: never a path or a query.
        self._notifier = f"{url.hostname}:{url.port or url.scheme}"
        self._session = requests.Session()
        # The notifier is a neighbour: a proxy of the environment must not come between.
        self._session.trust_env = False

    def alert(self, matches: list[dict[str, Any]]) -> None:
        """Post one alert for each match; raises EAException when one was not taken."""
        for match in matches:
            self._post(build_alert(self.rule, match))

    def get_info(self) -> dict[str, str]:
        """Return what ElastAlert2 writes into its history: no address, no secret."""
        return {"type": "ddcolor-notifier"}

    def _post(self, alert: dict[str, Any]) -> None:
        if time.monotonic() < NotifierAlerter._next_try:
            raise EAException(f"the notifier at {self._notifier} did not answer just now")
        fields = alert_fields(alert)
        for pause in (*_PAUSES_S, None):
            try:
                answer = self._session.post(self._url, json=alert, timeout=_TIMEOUT_S)
            except (requests.RequestException, OSError) as error:
                problem = type(error).__name__
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
            f"the notifier at {self._notifier} did not take alert {alert['alert_id']}: {problem}"
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
