"""One worker for each channel: claim, render, send, settle."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from ddcolor_operations.notifier import deliveries
from ddcolor_operations.notifier.channels.base import Blocked, Channel, Delivered
from ddcolor_operations.notifier.config import Config
from ddcolor_operations.notifier.database import Database
from ddcolor_operations.notifier.deliveries import Claim, Item, Pace, Wait
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.mentions import Mention
from ddcolor_operations.notifier.messages import Renderer
from ddcolor_operations.notifier.occasions import Form
from ddcolor_operations.notifier.sending import send

T = TypeVar("T")

_DISK_RETRY_S = 1.0
#: The longest sleep; a clock that was set forward is noticed after it.
_LONGEST_WAIT_S = 30.0


class Worker:
    """Delivers to one channel, one message at a time."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        *,
        database: Database,
        renderer: Renderer,
        config: Config,
        log: AlertLog,
    ) -> None:
        self._name = name
        self._database = database
        self._log = log
        self._woken = asyncio.Event()
        self._stopping = False
        self.use(channel, renderer, config)

    def use(self, channel: Channel, renderer: Renderer, config: Config) -> None:
        """Deliver this way from the next message on."""
        self._channel = channel
        self._renderer = renderer
        self._routing = config.routing
        self._policy = config.retry
        if channel.give_up_after_s is not None:
            limit = min(channel.give_up_after_s, config.retry.give_up_after_s)
            self._policy = replace(config.retry, give_up_after_s=limit)
        self._pace = Pace(channel.per_minute, config.digest_from, channel.digests)

    def wake(self) -> None:
        """Tell the worker that there may be something to deliver."""
        self._woken.set()

    def stop(self) -> None:
        """Let :meth:`run` end after the message that is under way."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Deliver until :meth:`stop`."""
        while not self._stopping:
            try:
                await self._step()
            except Exception as error:  # noqa: BLE001 - a worker that dies silences its channel
                self._log.trouble("A delivery could not be worked on", type(error).__qualname__)
                await asyncio.sleep(_DISK_RETRY_S)

    async def _step(self) -> None:
        # Cleared before the look: what comes during the look wakes the sleep after it.
        self._woken.clear()
        step = await self._on_disk(
            lambda c: deliveries.claim(c, self._name, self._pace, time.time())
        )
        if isinstance(step, Wait):
            await self._sleep(step.until)
        elif step is not None:
            await self._deliver(step)

    async def _deliver(self, claim: Claim) -> None:
        outcome = await send(
            self._channel,
            claim.items,
            renderer=self._renderer,
            log=self._log,
            mention=self._mention(claim.items),
        )
        now, policy = time.time(), self._policy
        settled = await self._on_disk(
            lambda c: deliveries.settle(c, claim, outcome, now, policy),
            # Until the answer is on disk the message must not be sent again.
            give_up_when_stopping=False,
        )
        for status, items in (settled or {}).items():
            if status == "delivered":
                note = outcome.note if isinstance(outcome, Delivered) else None
                self._log.delivered(self._name, items, note, now)
            elif not isinstance(outcome, Delivered):
                self._log.failed(self._name, items, status, outcome.error)
        if isinstance(outcome, Blocked):
            self._log.note(f"Channel {self._name} waits {outcome.seconds:.0f} s")

    def _mention(self, items: Sequence[Item]) -> Mention | None:
        """Return whom the routing lets the message call; None leaves it to the channel."""
        if items[0].form is Form.OVER:
            return None
        given = [self._routing.mention(i.alert, i.occasion, self._name) for i in items]
        if all(mention is None for mention in given):
            return None
        return Mention.union(
            self._channel.default_mention(item.alert.level) if mention is None else mention
            for item, mention in zip(items, given, strict=True)
        )

    async def _on_disk(
        self, operation: Callable[[sqlite3.Connection], T], *, give_up_when_stopping: bool = True
    ) -> T | None:
        """Run an operation, again and again while the disk refuses; None when stopping."""
        while True:
            try:
                return await asyncio.wrap_future(self._database.submit(operation))
            except sqlite3.Error as error:
                self._log.trouble("The outbox cannot be written", str(error))
                if self._stopping and give_up_when_stopping:
                    return None
                await asyncio.sleep(_DISK_RETRY_S)

    async def _sleep(self, until: float | None) -> None:
        longest = _LONGEST_WAIT_S if until is None else max(until - time.time(), 0.0)
        try:
            async with asyncio.timeout(min(longest, _LONGEST_WAIT_S)):
                await self._woken.wait()
        except TimeoutError:
            pass
