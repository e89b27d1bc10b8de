"""Wait until something has changed in the folders, or for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from .notices import Notices


class News:
    """The notices of changes as the watcher's loop waits for them; a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._moved = True
        self._notices = Notices(self._notice)

    def __enter__(self) -> News:
        self._notices.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._notices.stop()

    def watch(self, folders: Sequence[Path], complain: Callable[[Path, OSError], None]) -> None:
        """Be told of these folders; ``complain`` hears, once, of one that cannot be watched."""
        self._notices.watch(folders, complain)

    async def wait(self, timeout_s: float) -> None:
        """Return when something has changed since the last wait, or after a while."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        self._changed.clear()

    def take_moved(self) -> bool:
        """Say whether files may have come, gone or been renamed since the last call."""
        moved, self._moved = self._moved, False
        return moved

    def _notice(self, moved: bool) -> None:
        # The loop is closed while the thread that calls this still ends.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note, moved)

    def _note(self, moved: bool) -> None:
        self._moved = self._moved or moved
        self._changed.set()
