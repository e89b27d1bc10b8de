"""Look at the two ends of the chain: the notifier's list and the receivers' messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import requests

from .client import DemoError
from .evidence import Alert, Arrival, Seen

_TIMEOUT_S = 10.0


class Observer:
    """Reads what has arrived since ``since`` at the notifier and at the receivers."""

    def __init__(self, notifier_url: str, receivers_url: str, since: datetime) -> None:
        self._notifier = f"{notifier_url}/alerts"
        self._receivers = f"{receivers_url}/received"
        self._since = since
        self._session = requests.Session()

    def look(self) -> Seen:
        """Return everything that has arrived so far. Raises DemoError when an end is gone."""
        alerts = self._get(self._notifier, "notifier", since=self._since.isoformat())["alerts"]
        messages = self._get(self._receivers, "receivers")["messages"]
        return Seen(
            alerts=[Alert.from_json(alert) for alert in alerts],
            arrivals=[
                Arrival(
                    channel=message["receiver"],
                    text=message["text"],
                    received_at=datetime.fromtimestamp(message["received_at"], UTC),
                )
                for message in messages
                if message["received_at"] >= self._since.timestamp()
            ],
        )

    def _get(self, url: str, part: str, **params: str) -> Any:
        try:
            answer = self._session.get(url, params=params, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise DemoError(
                f"GET {url} failed ({type(error).__name__}); see the log of part {part}."
            ) from error
