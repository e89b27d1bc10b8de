"""Posts JSON to the notifier, which alone talks to people."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import requests
from elastalert.alerts import Alerter
from elastalert.util import EAException

ACCESS_VARIABLE = "DDCOLOR_NOTIFIER_TOKEN"
_TIMEOUT_S = (2.0, 5.0)


class NotifierPost(Alerter):  # type: ignore[misc]  # ElastAlert2 has no types
    """An alerter whose messages go to ``notifier_url``."""

    required_options = frozenset({"notifier_url", "x-ddcolor"})

    def __init__(self, rule: dict[str, Any]) -> None:
        super().__init__(rule)
        url = urlsplit(str(rule["notifier_url"]))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise EAException(
                f"{rule['name']}: notifier_url is not an http address: is the variable set?"
            )
        self._url = str(rule["notifier_url"]).rstrip("/")
        # What is said in logs and written back to Elasticsearch: never a path or a query.
        self.notifier = f"{url.hostname}:{url.port or url.scheme}"
        self._session = requests.Session()
        # The notifier is a neighbour: a proxy of the environment must not come between.
        self._session.trust_env = False
        # From the environment and not from the rule, which ElastAlert2 writes into its index.
        token = os.environ.get(ACCESS_VARIABLE)
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, message: dict[str, Any]) -> requests.Response | str:
        """Return the notifier's answer, or the name of what kept it from answering."""
        try:
            return self._session.post(
                self._url + path,
                json=message,
                timeout=_TIMEOUT_S,
                # Following one would make a GET of it, without the message.
                allow_redirects=False,
            )
        except (requests.RequestException, OSError) as error:
            return type(error).__name__
