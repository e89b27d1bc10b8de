"""Ask a running notifier over HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

_TIMEOUT_S = 15.0


class ClientError(Exception):
    """The notifier could not be asked, or refused; the text says why and what to do."""


def read_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the notifier's token from ``file``, else from DDCOLOR_NOTIFIER_TOKEN, else None."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip() or None
    return environment.get("DDCOLOR_NOTIFIER_TOKEN", "").strip() or None


class Client:
    """Talks to the notifier at ``url``, with its token if it asks for one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def alerts(self, since: str | None, limit: int) -> dict[str, Any]:
        """Return ``alerts`` received since a time, oldest first, and whether there are ``more``."""
        return self._ask("GET", "/alerts", {"since": since, "limit": limit})

    def alert(self, reference: str) -> dict[str, Any]:
        """Return the alert whose id starts with ``reference``."""
        return self._ask("GET", f"/alerts/{_part(reference)}", {})

    def retry(self, reference: str | None, channel: str | None) -> dict[str, Any]:
        """Make dead deliveries pending again, of one alert or of all."""
        path = f"/alerts/{_part(reference)}/retry" if reference else "/alerts/retry"
        return self._ask("POST", path, {"channel": channel})

    def acknowledge(self, reference: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take on the episode of an alert, or of the fault that ``body`` names."""
        path = f"/alerts/{_part(reference)}/ack" if reference else "/alerts/ack"
        return self._ask("POST", path, {}, body)

    def open(self) -> dict[str, Any]:
        """Return the ``episodes`` that are not over."""
        return self._ask("GET", "/episodes", {})

    def paths(self) -> dict[str, Any]:
        """Return the ``paths`` by which alerts come, with their last heartbeats."""
        return self._ask("GET", "/heartbeats", {})

    def forget_path(self, path: str) -> dict[str, Any]:
        """Expect no more heartbeats of a path."""
        return self._ask("DELETE", f"/heartbeats/{_part(path)}", {})

    def silence(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a silence; return its ``id`` and ``until``."""
        return self._ask("POST", "/silences", {}, body)

    def silences(self) -> dict[str, Any]:
        """Return the ``silences`` in force."""
        return self._ask("GET", "/silences", {})

    def end_silence(self, number: int) -> dict[str, Any]:
        """End a silence."""
        return self._ask("DELETE", f"/silences/{number}", {})

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        query = {name: value for name, value in query.items() if value is not None}
        try:
            reply = requests.request(
                method,
                self._url + path,
                params=query,
                json=body,
                headers=self._headers,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
            data = reply.json()
        except (requests.exceptions.InvalidHeader, UnicodeError):
            # Its own text would show the token.
            raise ClientError(
                "no header can carry the notifier's token: give one line of ASCII, nothing else"
            ) from None
        except requests.ConnectionError:
            raise ClientError(f"no notifier at {self._url}: start it, or give --url") from None
        except (requests.RequestException, ValueError) as error:
            raise ClientError(f"{self._url}: {error}: is this a notifier?") from None
        if not isinstance(data, dict) or not reply.ok:
            what = data.get("error") if isinstance(data, dict) else None
            raise ClientError(str(what or f"{self._url} answered HTTP {reply.status_code}"))
        return data


def _part(text: str) -> str:
    """Return ``text`` as one part of an address, dots too: ``..`` would lead elsewhere."""
    return quote(text, safe="").replace(".", "%2E")
