"""The notifier as one object: outbox, workers, housekeeping."""

from __future__ import annotations

import asyncio
import sqlite3
import time

from ddcolor_operations.notifier import deliveries, episodes, outbox
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.config import Config
from ddcolor_operations.notifier.database import Database
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.messages import Renderer
from ddcolor_operations.notifier.outbox import Status
from ddcolor_operations.notifier.views import Reader
from ddcolor_operations.notifier.wording import load_wording
from ddcolor_operations.notifier.worker import Worker

_PRUNE_EVERY_S = 3600.0
_QUIET_EVERY_S = 5.0


def make_renderer(config: Config) -> Renderer:
    """Return the renderer of the configured language; raises WordingError."""
    wording = load_wording(config.language, config.templates_dir)
    return Renderer(Reader(wording, config.zone, config.kibana), config.templates_dir)


class Notifier:
    """Takes alerts and delivers them. Made and used inside one running event loop."""

    def __init__(self, config: Config, log: AlertLog) -> None:
        """Open the outbox; raises DatabaseError or WordingError."""
        self._config = config
        self._log = log
        renderer = make_renderer(config)
        self.database = Database(config.data_dir)
        self._workers = {
            name: Worker(
                name,
                channel,
                database=self.database,
                renderer=renderer,
                policy=config.retry,
                digest_from=config.digest_from,
                log=log,
            )
            for name, channel in config.channels.items()
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._housekeepers: list[asyncio.Task[None]] = []

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Return the names of the channels that are set up."""
        return tuple(self._workers)

    async def start(self) -> None:
        """Take up what an earlier process left, then deliver."""
        now = time.time()
        interrupted = await asyncio.wrap_future(
            self.database.submit(lambda c: deliveries.recover(c, now))
        )
        if interrupted:
            self._log.note(f"Took up {interrupted} deliveries that were cut off")
        self._tasks = [
            asyncio.create_task(worker.run(), name=f"worker-{name}")
            for name, worker in self._workers.items()
        ]
        self._housekeepers = [
            asyncio.create_task(self._prune(), name="prune"),
            asyncio.create_task(self._end_episodes(), name="end-episodes"),
        ]

    async def stop(self) -> None:
        """Let the messages under way come to their end, then close the outbox."""
        for worker in self._workers.values():
            worker.stop()
        for task in self._housekeepers:
            task.cancel()
        await asyncio.gather(*self._housekeepers, return_exceptions=True)
        await asyncio.gather(*self._tasks)
        self.database.close()

    async def take(self, alert: Alert) -> Status:
        """Take one alert; when this returns, it is on disk. Raises sqlite3.Error if it is not."""
        channels = self._config.routing.channels(alert)
        now, window_s = time.time(), self._config.window_s
        status = await asyncio.wrap_future(
            self.database.submit(lambda c: outbox.accept(c, alert, channels, now, window_s))
        )
        self._log.taken(alert, status)
        if status == "accepted":
            for name in channels:
                if name in self._workers:
                    self._workers[name].wake()
        return status

    async def retry(self, alert_id: str | None, channel: str | None) -> int:
        """Make dead deliveries pending again, of one alert or of all; return how many."""
        now = time.time()
        revived = await asyncio.wrap_future(
            self.database.submit(lambda c: deliveries.revive(c, now, alert_id, channel))
        )
        for worker in self._workers.values():
            worker.wake()
        return revived

    async def _prune(self) -> None:
        while True:
            before = time.time() - self._config.keep_s
            try:
                await asyncio.wrap_future(
                    self.database.submit(lambda c, before=before: outbox.prune(c, before))  # type: ignore[misc]
                )
            except sqlite3.Error as error:
                self._log.trouble("Old alerts could not be removed", str(error))
            await asyncio.sleep(_PRUNE_EVERY_S)

    async def _end_episodes(self) -> None:
        quiet_s = self._config.quiet_s
        while True:
            await asyncio.sleep(min(_QUIET_EVERY_S, max(quiet_s / 4, 0.05)))
            try:
                channels = await asyncio.wrap_future(
                    self.database.submit(
                        lambda c: episodes.end_quiet_episodes(c, time.time(), quiet_s)
                    )
                )
            except sqlite3.Error as error:
                self._log.trouble("The ends of episodes could not be written", str(error))
                continue
            for name in channels & self._workers.keys():
                self._workers[name].wake()
