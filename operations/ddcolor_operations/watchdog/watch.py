"""One look at the notifier, and the messages that follow from it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.channels.base import Blocked, Delivered, GiveUp, Retry
from ddcolor_operations.notifier.config import Config
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.messages import Renderer
from ddcolor_operations.notifier.occasions import Episode, Form
from ddcolor_operations.notifier.paths import KIND
from ddcolor_operations.notifier.sending import send
from ddcolor_operations.notifier.views import Reader
from ddcolor_operations.notifier.wording import load_wording
from ddcolor_operations.watchdog.state import State

RULE = "watchdog"
SERVICE = "ddcolor-notifier"
_PROBE_S = 5.0
#: Looks that are further apart than this say nothing of the time between them.
_LONGEST_GAP_S = 900.0

Probe = Callable[[], Awaitable[bool]]


async def answers(url: str) -> bool:
    """Tell whether the notifier at ``url`` answers its health page in good order."""
    timeout = aiohttp.ClientTimeout(total=_PROBE_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url.rstrip('/')}/healthz", allow_redirects=False) as reply,
        ):
            return reply.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False


class Watchdog:
    """Looks at the notifier and tells the channels of ``config`` what has changed."""

    def __init__(self, config: Config, probe: Probe, state: State, log: AlertLog) -> None:
        """Watch with ``probe``; raises WordingError."""
        self._settings = config.watchdog
        self._policy = config.retry
        self._channels = {name: config.channels[name] for name in config.watchdog.channels}
        wording = load_wording(config.language, config.templates_dir)
        self._reader = Reader(wording, config.zone, config.kibana)
        self._renderer = Renderer(self._reader, config.templates_dir)
        self._probe = probe
        self._state = state
        self._log = log

    async def look(self, now: float) -> bool:
        """Look once and send what is to be said; return whether the notifier answers."""
        state, alive = self._state, await self._probe()
        longest = max(_LONGEST_GAP_S, 2 * self._settings.dead_after_s)
        if state.checked_at is None or not 0 <= now - state.checked_at <= longest:
            # Nobody has looked for a while (the machine was off): start to count anew.
            state.failing_since = None
            state.next_at.clear()
        state.checked_at = now
        if alive:
            state.failing_since = None
            state.back_at = state.back_at or now
            await self._tell_all(self._back, [n for n in self._channels if n in state.told], now)
        else:
            state.back_at = None
            if state.failing_since is None:
                state.failing_since = now
                self._log.trouble("The notifier does not answer", "no good answer of /healthz")
            if now - state.failing_since >= self._settings.dead_after_s:
                waiting = [name for name in self._channels if name not in state.told]
                await self._tell_all(self._dead, waiting, now)
        # A channel that was taken out of the configuration cannot be told of the end.
        state.told = {name: at for name, at in state.told.items() if name in self._channels}
        if not state.told:
            state.back_at = None
        return alive

    async def _tell_all(
        self, tell: Callable[[str, float], Awaitable[None]], names: list[str], now: float
    ) -> None:
        due = [name for name in names if self._state.next_at.get(name, now) <= now]
        await asyncio.gather(*(tell(name, now) for name in due))

    async def _dead(self, name: str, now: float) -> None:
        since = self._state.failing_since or now
        if await self._send(name, self._item(name, since, now), now):
            self._state.told[name] = since

    async def _back(self, name: str, now: float) -> None:
        since = self._state.told[name]
        # One moment for all tries: what names the message is made from it.
        back_at = self._state.back_at or now
        episode = Episode(since=since, last_at=back_at, total=1, resolved=True)
        item = replace(self._item(name, since, now), occasion=episode, form=Form.OVER)
        if await self._send(name, item, now):
            del self._state.told[name]

    async def _send(self, name: str, item: Item, now: float) -> bool:
        """Send one message; return whether that is settled, also if it can never be sent."""
        state, channel = self._state, self._channels[name]
        outcome = await send(channel, [item], renderer=self._renderer, log=self._log)
        if isinstance(outcome, Delivered):
            self._log.note(f"Watchdog told {name}")
        else:
            self._log.trouble(f"Watchdog could not tell {name}", outcome.error)
        failures = state.failures.pop(name, 0) + 1
        match outcome:
            case Delivered() | GiveUp():
                state.next_at.pop(name, None)
                state.unsure = [other for other in state.unsure if other != name]
                return True
            case Blocked():
                state.next_at[name] = now + outcome.seconds
            case Retry():
                state.next_at[name] = now + self._policy.delay(failures)
                if outcome.maybe_sent and name not in state.unsure:
                    state.unsure.append(name)
        state.failures[name] = failures
        return False

    def _item(self, name: str, since: float, now: float) -> Item:
        identity = f"{RULE}|{since!r}"
        alert = Alert(
            alert_id=hashlib.sha256(identity.encode()).hexdigest()[:32],
            rule=RULE,
            kind=KIND,
            level=int(CATALOGUE[KIND].level),
            service=SERVICE,
            occurred_at=datetime.fromtimestamp(since, UTC),
            node=None,
            node_id=None,
            prompt_id=None,
            trace_id=None,
            summary=self._reader.silent_notifier(now - since),
            count=1,
            values={},
        )
        unsure = name in self._state.unsure
        return Item(0, alert, 1, 0, since, since, 0, maybe_sent=unsure)
