"""The worker that evaluates the rules: a process in ElastAlert2's environment, talked to by pipe.

Its side of the pipe, and what each message means, is in ``ddcolor_alerts.stream``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.documents import Document
from ddcolor_operations.stack.launch import LaunchSpec

# An alert with a stack trace and its values stays far below this.
_LINE_BYTES = 16 * 1024 * 1024
_STOP_S = 10.0
# A wrong setting, and what cannot be executed (as setpriv and shells say it).
_FINAL = (2, 126, 127)

Answer = dict[str, Any]


class EngineError(Exception):
    """The worker ended; the text is what it said. ``final``: starting it again changes nothing."""

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text)
        self.final = final


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to start the worker: its interpreter, its memory, and the folder of rules if not ours."""

    python: Path
    state: Path
    rules: Path | None = None

    def launch(self) -> LaunchSpec:
        """Return what to start."""
        home = project_root() / "elastalert_rules"
        rules = ("--rules", str(self.rules)) if self.rules is not None else ()
        argv = (str(self.python), "-m", "ddcolor_alerts.stream", "--state", str(self.state), *rules)
        return LaunchSpec(argv, {"PYTHONPATH": str(home)})


class Engine:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = asyncio.create_task(_tail_of(process.stderr))

    @classmethod
    async def start(cls, settings: EngineSettings) -> Engine:
        """Start the worker. Raises EngineError if that is not possible."""
        launch = settings.launch()
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.command(),
                env=launch.environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
                # Ctrl-C is for the watcher, which still has to hear what was committed.
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"{launch.argv[0]}: {error.strerror}", final=True) from error
        return cls(process)

    async def answers(self) -> AsyncIterator[Answer]:
        """Yield what the worker says until it ends. Raises EngineError at its end."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        async for line in self._process.stdout:
            yield orjson.loads(line)
        code = await self._process.wait()
        said = (await self._errors).strip() or f"it ended with status {code} and said nothing"
        raise EngineError(said, final=code in _FINAL)

    async def documents(self, documents: Sequence[Document], begin: Any, end: Any) -> None:
        """Send what was read between two positions; ``done`` will tell ``end``.

        ``begin`` is committed with the first document: what was made up on the way to it (names for
        files without one) is then the same when the rest has to be read again.
        """
        lines: list[Answer] = [
            {"document": document, "at": document["event"]["ingested"]} for document in documents
        ]
        if begin is not None:
            lines[0]["position"] = begin
        lines[-1]["position"] = end
        await self._send(lines)

    async def tick(self, position: Any = None) -> None:
        """Say that it is now, and that everything that was written was sent."""
        line: Answer = {"tick": datetime.now(UTC).isoformat()}
        if position is not None:
            line["position"] = position
        await self._send([line])

    async def taken(self, alert_ids: Iterable[str]) -> None:
        """Say that the notifier keeps these alerts now."""
        await self._send([{"taken": list(alert_ids)}])

    async def stop(self) -> None:
        """Close its input, upon which it ends; end it otherwise if it does not."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._errors.cancel()

    async def _send(self, lines: Sequence[Answer]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        # That it has ended is what answers() raises, with the reason.
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
            await self._process.stdin.drain()


async def _tail_of(stream: asyncio.StreamReader | None) -> str:
    """Return the end of what comes until the stream ends."""
    text = b""
    while stream is not None and (piece := await stream.read(65536)):
        text = (text + piece)[-4096:]
    return text.decode("utf-8", "replace")
