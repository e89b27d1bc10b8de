"""Everything else, through Apprise: Feishu, Slack, ntfy and a hundred more.

Not for WeCom and DingTalk: Apprise takes an answer with an error code for a success.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from dataclasses import dataclass
from typing import Any

from ddcolor_operations.notifier.channels.base import (
    Delivered,
    Message,
    Outcome,
    Retry,
    SizedChannel,
)
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import ConfigError, Section

_TYPES = {1: "info", 2: "warning", 3: "failure"}
_OWN = {"wecombot": "wecom", "dingtalk": "dingtalk"}


@dataclass(frozen=True, slots=True)
class Apprise(SizedChannel):
    """One address of Apprise's. One only: of several, a second try would reach some twice."""

    url: Secret
    timeout_s: float
    per_minute: int | None

    @classmethod
    def from_section(cls, section: Section) -> Apprise:
        """Read one address; raises ConfigError when Apprise is not installed or knows it not."""
        channel = cls(
            url=section.secret("url"),
            max_bytes=section.integer("max_bytes", 4000, low=100, high=100_000),
            timeout_s=section.number("timeout_s", 30, low=0.1, high=300),
            per_minute=section.integer("per_minute", 20, low=1, high=6000),
        )
        where, url = section.where("url"), channel.url.reveal()
        scheme = url.partition(":")[0].lower()
        if scheme in _OWN:
            raise ConfigError(f"{where}: for {scheme}:// use a channel of type {_OWN[scheme]}")
        try:
            plugins = len(_apprise(url))
        except ImportError:
            raise ConfigError(
                f"{where}: Apprise is not installed: pip install 'ddcolor-observability[apprise]'"
            ) from None
        if plugins != 1:
            raise ConfigError(f"{where}: Apprise reads {plugins} addresses there: give exactly one")
        return channel

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        try:
            apprise = _apprise(self.url.reveal())
        except SecretError as error:
            return Retry(str(error))
        if len(apprise) != 1:
            return Retry("Apprise reads no address, or several: correct the secret")
        try:
            async with asyncio.timeout(self.timeout_s):
                sent = await apprise.async_notify(
                    title=message.title, body=message.body, notify_type=_TYPES[message.level]
                )
        except TimeoutError:
            return Retry("no answer within the time limit", maybe_sent=True)
        # Apprise says no more than this; the plugin's own words would hold its address.
        return Delivered() if sent else Retry("Apprise did not deliver", maybe_sent=True)


def _apprise(url: str) -> Any:
    """Return Apprise with one secret's addresses; raises ImportError when it is missing."""
    # It logs an address that it cannot read, key and all.
    logging.getLogger("apprise").disabled = True
    made = importlib.import_module("apprise").Apprise()
    made.add(url)
    return made
