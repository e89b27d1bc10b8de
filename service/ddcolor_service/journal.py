"""What lets the queue survive a restart: a file with one JSON line for each change.

Lines are appended, so that a change costs the same whatever waits; the file is emptied whenever
nothing waits or runs, and written anew when it has grown. The operating system holds what was
written when the process dies; a machine that loses power may lose the last changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

_GROWN = 8 << 20

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
        if not self._live or not self._whole or self._size > self._grown:
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
            partial.replace(self._path)
        else:
            partial.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes, how: int) -> None:
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb") as file:
                file.write(data)
        except OSError:
            self._whole = False
