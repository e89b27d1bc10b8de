"""One life of the rules' worker: from where it had come to, until it or the watcher ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from comfyui_telemetry import semconv
from ddcolor_operations.rules.documents import Document

from .engine import Answer, Engine, EngineSettings
from .follower import QUIET_S, Follower
from .mark import Mark
from .news import News
from .records import Records
from .sender import Sender
from .sources import Sources

# Where there are notices it only finds what they have missed.
_POLL_S = 0.5
_TICK_S = 1.0
# Positions on their way to the worker: the next batch is made while it works on the last ones.
_IN_FLIGHT = 6


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What to watch and where to tell it.

    ``form`` and ``service_name`` are those of :class:`Records`. ``from_start`` counts where nothing
    is remembered. ``once``: end when everything is read and taken. ``ready_file`` is touched each
    second while all is well.
    """

    sources: Sources
    engine: EngineSettings
    notifier: str
    token: str | None = None
    form: str = "auto"
    service_name: str = "comfyui"
    from_start: bool = False
    once: bool = False
    ready_file: Path | None = None


class Session:
    """Follows, evaluates and sends, with one worker process."""

    def __init__(
        self,
        settings: WatchSettings,
        engine: Engine,
        news: News,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._news = news
        self._log = log
        self._sender = Sender(settings.notifier, settings.token, self._taken, log)
        # Whoever wants what is there now does not wait for more of it.
        quiet_s = 0.0 if settings.once else QUIET_S
        self._follower = Follower(settings.sources, self._cannot_read, quiet_s)
        self._records = Records(settings.form, settings.service_name)
        self._ready: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._done = asyncio.Event()
        self._sent_serial = 0
        self._done_serial = 0
        self._sent_files: set[str] = set()
        self._named: list[Path] = []
        self._tick_at = 0.0
        self._look_at = 0.0

    async def run(self) -> None:
        """Work until all is done (``once``), or for ever. Raises EngineError when the worker ends.

        The worker is ended in any case.
        """
        tasks = [
            asyncio.create_task(work) for work in (self._read(), self._listen(), self._sender.run())
        ]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._engine.stop()
            self._follower.close()
            self._records.close()

    # --- Reading --------------------------------------------------------------------------------
    async def _read(self) -> None:
        await self._begin(await self._ready)
        while True:
            self._follower.look_if_cut()
            begin = None if self._follower.generations() <= self._sent_files else self._position()
            documents = self._documents()
            if documents:
                end = self._next_position()
                await self._until_done(self._sent_serial - _IN_FLIGHT)
                await self._engine.documents(documents, begin, end)
            if self._follower.has_more():
                # The answers and the alerts have their turn, too.
                await asyncio.sleep(0)
                continue
            if documents or time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + _TICK_S
                await self._engine.tick(self._next_position())
            if self._settings.once:
                await self._finish()
                return
            await self._news.wait(_POLL_S)
            self._look()

    async def _begin(self, ready: Answer) -> None:
        rules = ready["rules"]
        self._log.info(
            f"Watching with {len(rules)} rules",
            event_name=semconv.EVENT_ALERTING_STARTED,
            **{semconv.ALERTING_RULES: len(rules)},
        )
        self._say_refused(ready["refused"])
        position = ready["position"]
        if position is None:
            self._follower.begin(from_start=self._settings.from_start)
        else:
            self._sent_serial = self._done_serial = position["serial"]
            self._follower.resume([Mark.from_json(mark) for mark in position["files"]])
        self._look()

    def _look(self) -> None:
        """Look for files that came, went or have another name, when that may be so."""
        now = time.monotonic()
        if self._news.take_moved() or now >= self._look_at:
            self._look_at = now + _POLL_S
            self._news.watch(self._settings.sources.folders(), self._cannot_read)
            self._follower.look()
            self._records.keep(self._follower.generations())
            if (names := self._follower.files()) != self._named:
                self._named = names
                shown = ", ".join(path.name for path in names) or "no file yet"
                self._log.info(f"Following {shown}")

    def _documents(self) -> list[Document]:
        found: list[Document] = []
        for line in self._follower.read():
            try:
                found += self._records.documents(line)
            except Exception as error:  # noqa: BLE001 - one odd line must not end the watch
                self._log.error(
                    f"A line of {line.file.path.name} at {line.offset} cannot be used",
                    exc_info=error,
                )
        return found

    def _next_position(self) -> dict[str, Any]:
        """Return where the reading has come to, to be sent: the worker will answer it."""
        self._sent_serial += 1
        self._sent_files = self._follower.generations()
        return self._position()

    def _position(self) -> dict[str, Any]:
        marks = [mark.to_json() for mark in self._follower.marks()]
        return {"serial": self._sent_serial, "files": marks}

    async def _finish(self) -> None:
        await self._until_done(self._sent_serial)
        while not self._sender.is_idle:
            await asyncio.sleep(0.01)

    async def _until_done(self, serial: int) -> None:
        while self._done_serial < serial:
            self._done.clear()
            await self._done.wait()

    def _cannot_read(self, path: Path, error: OSError) -> None:
        self._log.error(
            f"{path.name} cannot be read ({error.strerror}); it is tried again",
            **{semconv.LOG_FILE_NAME: path.name},
        )

    # --- Answers --------------------------------------------------------------------------------
    async def _listen(self) -> None:
        async for answer in self._engine.answers():
            if "alert" in answer:
                self._sender.put(answer["alert"])
            elif "done" in answer:
                self._done_serial = answer["done"]["serial"]
                self._done.set()
                if self._settings.ready_file is not None:
                    self._settings.ready_file.touch()
            elif "heartbeat" in answer:
                self._sender.beat(answer["heartbeat"])
            elif "ready" in answer:
                self._ready.set_result(answer["ready"])
            elif "problem" in answer:
                self._log.error(f"A rule could not use a record: {answer['problem']}")
            elif "rules" in answer:
                self._say_changed(answer["rules"])

    def _say_changed(self, changes: Answer) -> None:
        for name in changes["loaded"]:
            self._log.info(f"Rule {name} runs as it was saved")
        for name in changes["removed"]:
            self._log.warning(f"Rule {name} no longer runs")
        self._say_refused(changes["refused"])

    def _say_refused(self, refused: dict[str, str]) -> None:
        for file, why in refused.items():
            self._log.error(f"{Path(file).name} is not used: {why}")

    async def _taken(self, alert_id: str) -> None:
        await self._engine.taken([alert_id])
