"""What the reading says to the rules' process, and when it waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import structlog

from ddcolor_operations.rules.documents import Document
from ddcolor_operations.watch.engine import Answer, Engine, EngineSettings
from ddcolor_operations.watch.news import News
from ddcolor_operations.watch.session import Session, WatchSettings
from ddcolor_operations.watch.sources import Sources
from tests.support.following import add

ONE, TWO = '{"message": "one"}\n', '{"message": "two"}\n'


class AnsweringEngine:
    """Has every position on disk at once, as a quick worker does; notes what it was sent."""

    def __init__(self) -> None:
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()
        self._answers.put_nowait({"ready": {"rules": [], "refused": {}, "position": None}})
        self.messages: list[str] = []
        self.begins: list[Any] = []

    async def answers(self) -> AsyncIterator[Answer]:
        """Yield the answers, for ever."""
        while True:
            yield await self._answers.get()

    async def documents(self, documents: Sequence[Document], begin: Any, end: Any) -> None:
        """Take documents."""
        self.messages += [document["body"]["text"] for document in documents]
        self.begins.append(begin)
        self._answers.put_nowait({"done": end})

    async def tick(self, position: Any = None) -> None:
        """Take the time."""
        if position is not None:
            self._answers.put_nowait({"done": position})

    async def stop(self) -> None:
        """End."""


class ToldNews:
    """Does the next of some steps each time it is waited for."""

    def __init__(self, steps: Sequence[Callable[[], object]] = ()) -> None:
        self._steps = list(steps)

    def watch(self, *_: object) -> None:
        """Watch nothing."""

    async def wait(self, timeout_s: float) -> None:
        """Do the next step; after the last one let the time pass."""
        if self._steps:
            self._steps.pop(0)()
        else:
            await asyncio.sleep(min(timeout_s, 0.01))

    def take_moved(self) -> bool:
        """Say that files may have come."""
        return True


def settings(folder: Path, *, once: bool = False) -> WatchSettings:
    """Watch a folder from its start."""
    return WatchSettings(
        sources=Sources([str(folder)]),
        engine=EngineSettings(Path("python"), folder / "watch.sqlite"),
        notifier="http://127.0.0.1:1",
        from_start=True,
        once=once,
    )


async def worked(
    to_do: WatchSettings, news: ToldNews, until: Callable[[AnsweringEngine], bool]
) -> AnsweringEngine:
    """Let a session work until it ends, or until the engine has what it should."""
    engine = AnsweringEngine()
    log = structlog.get_logger()
    session = Session(to_do, cast("Engine", engine), cast("News", news), log)
    task = asyncio.create_task(session.run())
    async with asyncio.timeout(30):
        while not task.done() and not until(engine):
            await asyncio.sleep(0.001)
    if task.done():
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return engine


def test_many_files_that_come_empty_stop_nothing(tmp_path: Path) -> None:
    """Files that appear one after the other are no positions that an answer has to come for."""
    log = tmp_path / "last.jsonl"
    empty = [(tmp_path / f"{number}.log").touch for number in range(20)]
    news = ToldNews([*empty, lambda: add(log, ONE), lambda: add(log, TWO)])

    engine = asyncio.run(worked(settings(tmp_path), news, lambda engine: "two" in engine.messages))

    assert engine.messages == ["one", "two"]


def test_a_file_is_named_with_its_first_document(tmp_path: Path) -> None:
    """A file that was empty when it came is told before its first line, not only behind it."""
    log = tmp_path / "a.jsonl"
    news = ToldNews([log.touch, lambda: add(log, ONE)])

    engine = asyncio.run(worked(settings(tmp_path), news, lambda engine: bool(engine.messages)))

    (begin,) = engine.begins
    assert [(Path(mark["path"]).name, mark["offset"]) for mark in begin["files"]] == [
        ("a.jsonl", 0)
    ]


def test_once_reads_the_last_line_that_has_no_end(tmp_path: Path) -> None:
    """Nobody waits for more with --once: a last record without a line's end counts."""
    (tmp_path / "a.jsonl").write_text(ONE + TWO.rstrip())

    engine = asyncio.run(worked(settings(tmp_path, once=True), ToldNews(), lambda _: False))

    assert engine.messages == ["one", "two"]
