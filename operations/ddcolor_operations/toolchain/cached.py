"""A folder of the cache that is either whole or not there."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

MARKER = ".complete"


def is_complete(folder: Path) -> bool:
    """Say whether ``folder`` was built to its end."""
    return (folder / MARKER).is_file()


def ensure_folder(folder: Path, build: Callable[[Path], None]) -> bool:
    """Have ``build`` fill ``folder`` unless an earlier call has; return whether it was built now.

    The marker is written last, so a build that was cut off is thrown away and done again. A file
    lock beside the folder lets one of several processes build while the others wait.
    """
    if is_complete(folder):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete(folder):
            return False
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        build(folder)
        (folder / MARKER).touch()
    return True
