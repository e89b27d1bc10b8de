"""Keep a session alive: a worker that dies is started again."""

from __future__ import annotations

import asyncio
import time

import structlog

from .engine import Engine, EngineError
from .news import News
from .session import Session, WatchSettings

_PAUSE_FIRST_S = 1.0
_PAUSE_LAST_S = 30.0


async def watch(settings: WatchSettings, log: structlog.typing.FilteringBoundLogger) -> None:
    """Watch until cancelled, or to the end of the files with ``settings.once``.

    Raises EngineError when it is of no use to start the worker again.
    """
    pause = _PAUSE_FIRST_S
    with News() as news:
        while True:
            started = time.monotonic()
            try:
                engine = await Engine.start(settings.engine)
                await Session(settings, engine, news, log).run()
            except EngineError as error:
                if error.final or settings.once:
                    raise
                if time.monotonic() - started > _PAUSE_LAST_S:
                    pause = _PAUSE_FIRST_S
                # Its text is what the process said at its end; our traceback has nothing to add.
                log.error(f"The rules' process ended, again in {pause:.0f} s: {error}")  # noqa: TRY400
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_LAST_S)
