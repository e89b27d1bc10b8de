"""What lets the queue survive a restart: a file with one JSON line for each change.

Lines are appended, so that a change costs the same whatever waits. The file is emptied now and then
when nothing waits or runs (each time would cost more than the rest of a small prompt), and written
anew when it has grown. What a dying process wrote the operating system still holds; for a machine
that loses power there is :meth:`Journal.sync`, which a prompt's sender is made to wait for. Other
changes are not worth a wait: the worst that their loss does is that a prompt which was done or
deleted runs once more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

_GROWN = 8 << 20
_IDLE = 64 << 10

Row = dict[str, Any]
"""One prompt: ``prompt_id``, ``attempts`` and whatever else the queue keeps of it."""


class Journal:
    """The prompts that wait or run. The caller sees to it that one thread at a time is here.

    Without a path nothing is kept. A full disk must not stop the work: what could not be written
    is made good for by the next change.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._live: dict[str, Row] = {}
        self._size = 0
        self._grown = _GROWN
        self._whole = True
        self._in_folder = False

    def put(self, row: Row) -> None:
        """Note a prompt that waits from now on."""
        self._change({"put": row})

    def took(self, prompt_id: str) -> None:
        """Note that a process begins to run a prompt: one attempt more."""
        self._change({"took": prompt_id})

    def gave_back(self, prompt_id: str) -> None:
        """Note that a prompt waits again for no fault of its own: one attempt less."""
        self._change({"gave_back": prompt_id})

    def gone(self, prompt_ids: list[str]) -> None:
        """Note that prompts ended or were removed."""
        self._change({"gone": prompt_ids})

    def sync(self) -> None:
        """Wait until what was noted is on the disk itself; from any thread at any time.

        A disk that cannot do that is no reason to refuse work.
        """
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            _sync(self._path)
            if not self._in_folder:
                _sync(self._path.parent)
                self._in_folder = True

    def read(self, check: Callable[[Row], object]) -> list[Row]:
        """Return what an earlier process left, in the order it came.

        ``check`` raises ``KeyError``, ``TypeError`` or ``ValueError`` for a row that makes no
        sense. A file with lines that make none (another version, a broken disk) is kept beside for
        a look. The last line may be half written and is no such case.
        """
        if self._path is None or not self._path.is_file():
            return []
        *lines, _ = self._path.read_bytes().split(b"\n")
        understood = True
        for line in lines:
            try:
                change = dict(orjson.loads(line))
                if "put" in change:
                    check(change["put"])
                self._apply(change)
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                understood = False
        if not understood:
            self._path.replace(self._path.with_suffix(".unreadable"))
        self._write_anew()
        return list(self._live.values())

    def _apply(self, change: dict[str, Any]) -> None:
        ((what, value),) = change.items()
        if what == "put":
            self._live[str(value["prompt_id"])] = {**value, "attempts": int(value["attempts"])}
        elif what == "took":
            self._live[value]["attempts"] += 1
        elif what == "gave_back":
            self._live[value]["attempts"] -= 1
        elif what == "gone":
            for prompt_id in value:
                self._live.pop(prompt_id, None)
        else:
            raise ValueError(what)

    def _change(self, change: dict[str, Any]) -> None:
        if self._path is None:
            return
        self._apply(change)
        idle = not self._live and self._size > _IDLE
        if idle or not self._whole or self._size > self._grown:
            self._write_anew()
        else:
            line = orjson.dumps(change, option=orjson.OPT_APPEND_NEWLINE)
            self._write(self._path, line, os.O_APPEND)
            self._size += len(line)

    def _write_anew(self) -> None:
        if self._path is None:
            return
        lines = [
            orjson.dumps({"put": row}, option=orjson.OPT_APPEND_NEWLINE)
            for row in self._live.values()
        ]
        self._size = sum(map(len, lines))
        self._grown = max(_GROWN, 2 * self._size)
        self._whole = True
        if not lines:
            self._write(self._path, b"", os.O_TRUNC)
            return
        partial = self._path.with_suffix(".part")
        self._write(partial, b"".join(lines), os.O_TRUNC)
        if self._whole:
            # The old file must not give way to one of which the disk has nothing yet.
            with contextlib.suppress(OSError):
                _sync(partial)
            partial.replace(self._path)
            self._in_folder = False
        else:
            partial.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes, how: int) -> None:
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb") as file:
                file.write(data)
        except OSError:
            self._whole = False


def _sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
