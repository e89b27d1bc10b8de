"""The operating system's notices of changes, as far as it gives any.

They only make the watcher look sooner: it also looks by the clock, so network file systems and
exhausted inotify limits cost time, never a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_WANTED: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]


class Notices(FileSystemEventHandler):
    """Calls ``changed`` for each change of a file in one of the folders, from another thread.

    Its argument says whether a file came, went or has another name, rather than grew.
    """

    def __init__(self, changed: Callable[[bool], None]) -> None:
        self._changed = changed
        self._observer: BaseObserver = Observer()
        self._watches: dict[Path, tuple[int, ObservedWatch | None]] = {}

    def start(self) -> None:
        """Begin; folders are named afterwards."""
        self._observer.start()

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._observer.stop()
        self._observer.join()

    def watch(self, folders: Sequence[Path], complain: Callable[[Path, OSError], None]) -> None:
        """Watch these folders and no others; one that was removed and made anew is watched anew.

        ``complain`` is told, once, of a folder that cannot be watched.
        """
        inodes = {}
        for folder in folders:
            try:
                inodes[folder] = folder.stat().st_ino
            except OSError:
                continue
        for folder, (inode, watch) in list(self._watches.items()):
            if inodes.get(folder) != inode:
                del self._watches[folder]
                if watch is not None:
                    self._observer.unschedule(watch)
        for folder, inode in inodes.items():
            if folder not in self._watches:
                self._watches[folder] = (inode, self._schedule(folder, complain))

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass a notice on."""
        self._changed(not isinstance(event, FileModifiedEvent))

    def _schedule(
        self, folder: Path, complain: Callable[[Path, OSError], None]
    ) -> ObservedWatch | None:
        try:
            return self._observer.schedule(self, str(folder), event_filter=_WANTED)
        except OSError as error:
            complain(folder, error)
            return None
