"""The notifier as one object: outbox, workers, housekeeping."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ddcolor_operations.notifier import acknowledgements, deliveries, episodes, outbox, paths
from ddcolor_operations.notifier.acknowledgements import Acknowledged, Acknowledgement
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.config import Config
from ddcolor_operations.notifier.database import Database
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.messages import Renderer
from ddcolor_operations.notifier.outbox import Status
from ddcolor_operations.notifier.paths import Beat
from ddcolor_operations.notifier.views import Reader
from ddcolor_operations.notifier.wording import load_wording
from ddcolor_operations.notifier.worker import Worker

T = TypeVar("T")

_PRUNE_EVERY_S = 3600.0
_TICK_S = 5.0
_HEARTBEAT_S = 30.0


def make_reader(config: Config) -> Reader:
    """Return the one who reads the messages; raises WordingError."""
    wording = load_wording(config.language, config.templates_dir)
    return Reader(wording, config.zone, config.kibana, config.routing)


def make_renderer(config: Config) -> Renderer:
    """Return the renderer of the configured language; raises WordingError."""
    return Renderer(make_reader(config), config.templates_dir)


class Notifier:
    """Takes alerts and delivers them. Made and used inside one running event loop."""

    def __init__(self, config: Config, log: AlertLog) -> None:
        """Open the outbox; raises DatabaseError or WordingError."""
        self._config = config
        self._log = log
        self._reader = make_reader(config)
        renderer = Renderer(self._reader, config.templates_dir)
        self.database = Database(config.data_dir)
        self._workers = {
            name: Worker(
                name, channel, database=self.database, renderer=renderer, config=config, log=log
            )
            for name, channel in config.channels.items()
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._housekeepers: list[asyncio.Task[None]] = []
        self._watched_since = time.time()

    @property
    def config(self) -> Config:
        """Return what it works by now."""
        return self._config

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Return the names of the channels that are set up."""
        return tuple(self._workers)

    async def start(self) -> None:
        """Take up what an earlier process left, then deliver."""
        now = self._watched_since = time.time()
        interrupted = await self._on_disk(lambda c: deliveries.recover(c, now))
        if interrupted:
            self._log.note(f"Took up {interrupted} deliveries that were cut off")
        for name in self._workers:
            self._deliver(name)
        self._housekeepers = [
            asyncio.create_task(self._prune(), name="prune"),
            asyncio.create_task(self._watch(), name="watch"),
        ]

    async def stop(self) -> None:
        """Let the messages under way come to their end, then close the outbox."""
        for worker in self._workers.values():
            worker.stop()
        for task in self._housekeepers:
            task.cancel()
        await asyncio.gather(*self._housekeepers, return_exceptions=True)
        await asyncio.gather(*self._tasks.values())
        self.database.close()

    def reload(self, config: Config) -> None:
        """Work by another configuration from the next message on; raises WordingError.

        Where it listens, its outbox and its log stay as they are until a restart.
        """
        reader = make_reader(config)
        renderer = Renderer(reader, config.templates_dir)
        self._config, self._reader = config, reader
        for name in self._workers.keys() - config.channels.keys():
            # Its task ends after the message under way; stop() still waits for it.
            self._workers.pop(name).stop()
        for name, channel in config.channels.items():
            if name in self._workers:
                self._workers[name].use(channel, renderer, config)
            else:
                self._workers[name] = Worker(
                    *(name, channel),
                    database=self.database,
                    renderer=renderer,
                    config=config,
                    log=self._log,
                )
                self._deliver(name)
        self._wake(self._workers)

    async def take(self, alert: Alert) -> Status:
        """Take one alert; when this returns, it is on disk. Raises sqlite3.Error if it is not."""
        return await self._take(alert, lambda _: None)

    async def beat(self, beat: Beat) -> paths.State:
        """Take one heartbeat, and say so when it ends a silence."""
        now, silent_s = time.time(), self._config.path_silent_s

        def operation(connection: sqlite3.Connection) -> tuple[paths.State, episodes.Told]:
            state, spoken = paths.beat(connection, beat, now, silent_s)
            return state, self._resolved(connection, spoken, now)

        state, told = await self._on_disk(operation)
        self._tell(told)
        return state

    async def forget_path(self, path: str) -> bool:
        """Expect no more heartbeats of a path; return whether there were any."""
        now = time.time()

        def operation(connection: sqlite3.Connection) -> tuple[bool, episodes.Told]:
            known, spoken = paths.forget(connection, path)
            return known, self._resolved(connection, spoken, now)

        known, told = await self._on_disk(operation)
        self._tell(told)
        return known

    async def acknowledge(
        self, alert_id: str | None, given: Acknowledgement
    ) -> Sequence[Acknowledged]:
        """Take on the episode of an alert, or those of the fault that ``given`` names."""
        now = time.time()
        taken = await self._on_disk(
            lambda c: (
                acknowledgements.acknowledge_fault(c, given, now)
                if alert_id is None
                else acknowledgements.acknowledge_alert(c, alert_id, given, now)
            )
        )
        for one in taken:
            if not one.already:
                self._log.acknowledged(one)
        return taken

    async def retry(self, alert_id: str | None, channel: str | None) -> int:
        """Make dead deliveries pending again, of one alert or of all; return how many."""
        now = time.time()
        # A restart that was asked for hours ago would hit a service that is well: only who names
        # the alert or the healer asks for it again.
        named = alert_id is not None or channel is not None
        but = () if named else tuple(self._config.routing.healers)
        revived = await self._on_disk(lambda c: deliveries.revive(c, now, alert_id, channel, but))
        self._wake(self._workers)
        return revived

    async def _take(self, alert: Alert, then: Callable[[sqlite3.Connection], None]) -> Status:
        """Take an alert, and in the same commit do ``then``."""
        config, now = self._config, time.time()
        channels, plan = config.routing.channels(alert), config.routing.escalation(alert)

        not_before = config.routing.not_before(alert, now)
        # Nobody can take on what nobody has been told.
        told_at = now if not_before is None else not_before

        def operation(connection: sqlite3.Connection) -> Status:
            status = outbox.accept(
                connection,
                alert,
                channels,
                now,
                config.window_s,
                not_before=not_before,
                at_once=config.routing.healers,
                escalate_at=None if plan is None else told_at + plan.steps[0].after_s,
            )
            then(connection)
            return status

        status = await self._on_disk(operation)
        self._log.taken(alert, status)
        if status == "accepted":
            self._wake(channels)
        return status

    def _resolved(
        self, connection: sqlite3.Connection, alert_seq: int | None, now: float
    ) -> episodes.Told:
        if alert_seq is None:
            return episodes.Told()
        return episodes.resolve(connection, alert_seq, now, self._mute())

    def _mute(self) -> set[str]:
        return {name for name, c in self._config.channels.items() if not c.hears_end}

    def _tell(self, told: episodes.Told) -> None:
        self._log.told(told)
        self._wake(told.channels)

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._workers:
                self._workers[name].wake()

    def _deliver(self, name: str) -> None:
        before = self._tasks.get(name)
        self._tasks[name] = asyncio.create_task(
            self._run(self._workers[name], before), name=f"worker-{name}"
        )

    @staticmethod
    async def _run(worker: Worker, before: asyncio.Task[None] | None) -> None:
        # Two workers of one channel would send the same message: the old one ends first.
        if before is not None:
            await before
        await worker.run()

    async def _on_disk(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.wrap_future(self.database.submit(operation))

    async def _prune(self) -> None:
        while True:
            before = time.time() - self._config.keep_s
            try:
                await self._on_disk(lambda c, before=before: outbox.prune(c, before))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001 - as in _watch()
                self._trouble("Old alerts could not be removed", error)
            await asyncio.sleep(_PRUNE_EVERY_S)

    async def _watch(self) -> None:
        """See to what happens because time goes by: ends, escalations, silent paths."""
        last, beat_at = time.time(), time.monotonic()
        while True:
            config = self._config
            shortest = min(config.quiet_s, config.path_silent_s)
            await asyncio.sleep(min(_TICK_S, max(shortest / 4, 0.05)))
            now = time.time()
            if not 0 <= now - last <= _TICK_S + config.path_silent_s / 2:
                # The machine slept, or the clock was set: what is missing was not missed by others.
                self._watched_since = now
            last = now
            try:
                await self._look(config, now)
                if time.monotonic() - beat_at >= _HEARTBEAT_S:
                    beat_at = time.monotonic()
                    self._log.alive(await self._on_disk(episodes.count_active))
            except Exception as error:  # noqa: BLE001 - if it died, no silence would ever be told
                self._trouble("What time has brought could not be worked on", error)

    def _trouble(self, message: str, error: Exception) -> None:
        """Record what went wrong; only the outbox's own words are known to hold no secret."""
        said = str(error) if isinstance(error, sqlite3.Error) else type(error).__qualname__
        self._log.trouble(message, said)

    async def _look(self, config: Config, now: float) -> None:
        mute, until = self._mute(), config.routing.quiet_until(now)
        self._tell(
            await self._on_disk(
                lambda c: episodes.end_quiet_episodes(
                    c, now, config.quiet_s, mute=mute, not_before=until
                )
            )
        )
        self._tell(
            await self._on_disk(
                lambda c: episodes.escalate(c, now, config.routing.escalation, not_before=until)
            )
        )
        silent = await self._on_disk(
            lambda c: paths.silent_paths(c, now, self._watched_since, config.path_silent_s)
        )
        for path in silent:
            alert = paths.alert_of(path, now, self._reader.silent_path(path, now))
            await self._take(
                alert,
                lambda c, path=path, alert=alert: paths.mark_told(c, path.path, alert.alert_id),  # type: ignore[misc]
            )
