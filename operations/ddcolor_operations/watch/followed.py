"""One open log file, read line by line as it grows."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .mark import HEAD_BYTES, TAIL_BYTES, Mark, bytes_before, digest

LINE_LIMIT = 4 * 1024 * 1024
# What is kept of a line above the limit: enough to see what it is.
_KEPT_OF_LONG = 16 * 1024
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; ``offset`` is where it begins in ``file``."""

    file: FollowedFile
    offset: int
    data: bytes


class FollowedFile:
    """A file that stays open, so that it is read to its end even after a rename or removal.

    ``path`` is its present name and ``base`` the name under which it is, or was, written;
    ``is_live`` says that it still has that name. ``generation`` names its content for ever. Lines
    before ``told_from`` are given out for their context alone. Errors: OSError when the file cannot
    be opened or read.
    """

    def __init__(self, path: Path, base: Path) -> None:
        self.path = path
        self.base = base
        self.is_live = path == base
        self.generation = _new_generation()
        self.told_from = 0
        self.context = 0
        self._resumed: Mark | None = None
        self.grown_at = time.monotonic()
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        found = os.fstat(self._descriptor)
        self.identity = (found.st_dev, found.st_ino)
        self._offset = 0
        # What was read of a line whose end is not written yet.
        self._begun = bytearray()
        self._skipping = False
        # From memory and not from the file: they must tell what was read, also after a cut.
        self._head = b""
        self._before = b""

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)

    def modified(self) -> float:
        """Return when it was written to last."""
        return os.fstat(self._descriptor).st_mtime

    def has_more(self) -> bool:
        """Say whether there are bytes that were not looked at."""
        return self._size() > self._reached

    def is_empty(self) -> bool:
        """Say whether nothing has been written yet."""
        return self._size() == 0

    def holds(self, mark: Mark) -> bool:
        """Say whether this file holds everything that ``mark`` says was read."""
        return mark.is_of(self._descriptor)

    def begins_as(self, other: FollowedFile) -> bool:
        """Say whether this file begins as what was read of ``other``, as far as it goes."""
        begin = os.pread(self._descriptor, len(other._head), 0)
        return bool(begin) and other._head.startswith(begin)

    def resume(self, mark: Mark) -> None:
        """Go on where ``mark`` says the reading had come to."""
        self.generation = mark.generation
        self.told_from = mark.offset
        self._resumed = mark
        self._go_to(mark.context)

    def skip_to_end(self) -> None:
        """Take everything that is there for read, up to the last whole line."""
        end = self._size()
        while end > 0:
            start = max(0, end - _READ_BYTES)
            found = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        self.told_from = end
        self._go_to(end)

    def start_over(self) -> None:
        """Read from the start again, after :meth:`was_cut`."""
        self.generation = _new_generation()
        self.told_from = 0
        self._resumed = None
        self._go_to(0)

    def mark(self) -> Mark:
        """Return how far the lines that were given out go."""
        if self._resumed is not None and self._offset < self._resumed.offset:
            # Lines are looked at for their context: nothing that would move the mark.
            return replace(self._resumed, path=str(self.path))
        head = self._head[: self._offset]
        return Mark(
            path=str(self.path),
            device=self.identity[0],
            inode=self.identity[1],
            offset=self._offset,
            context=min(self.context, self._offset),
            head_bytes=len(head),
            head=digest(head),
            tail=digest(self._before),
            generation=self.generation,
        )

    def was_cut(self) -> bool:
        """Say whether what was read is no longer there: the file was cut, or written anew."""
        if self._size() < max(self._reached, self.told_from):
            return True
        last = (self._before + self._begun[-TAIL_BYTES:])[-TAIL_BYTES:]
        return bytes_before(self._descriptor, self._reached, TAIL_BYTES) != last

    def read(self) -> Iterator[Line]:
        """Yield the whole lines of the next piece; the mark moves along."""
        piece = os.pread(self._descriptor, _READ_BYTES, self._reached)
        if not piece:
            return
        self.grown_at = time.monotonic()
        if len(self._head) < HEAD_BYTES:
            self._head += piece[: HEAD_BYTES - len(self._head)]
        if not self._begun:
            # A file that was cut while its writer kept its place begins with zeros.
            told = piece.lstrip(b"\0")
            self._pass(piece[: len(piece) - len(told)])
            piece = told
        if self._skipping:
            piece = self._without_rest_of_long(piece)
        self._begun += piece
        # Not in what was there before: a long line that comes in small pieces would be searched
        # again and again.
        if b"\n" in piece:
            for data in self._begun.split(b"\n")[:-1]:
                begin = self._offset
                self._take(len(data) + 1)
                yield Line(self, begin, bytes(data))
        if len(self._begun) > LINE_LIMIT:
            yield self._cut_long()

    def flush(self) -> Iterator[Line]:
        """Yield what is there of a line without an end as if it were a whole one."""
        if self._begun:
            begin, data = self._offset, bytes(self._begun)
            self._take(len(data))
            yield Line(self, begin, data)

    @property
    def begun(self) -> bytes:
        """What is there of a line whose end is not written yet."""
        return bytes(self._begun)

    @property
    def offset(self) -> int:
        """Where the next line begins."""
        return self._offset

    @property
    def _reached(self) -> int:
        return self._offset + len(self._begun)

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _go_to(self, offset: int) -> None:
        self._offset = self.context = offset
        self._begun.clear()
        self._skipping = False
        self._head = os.pread(self._descriptor, min(HEAD_BYTES, offset), 0)
        self._before = bytes_before(self._descriptor, offset, TAIL_BYTES)

    def _take(self, count: int) -> None:
        """Move behind ``count`` bytes of what was begun."""
        self._pass(self._begun[:count])
        del self._begun[:count]

    def _pass(self, data: bytes | bytearray) -> None:
        self._offset += len(data)
        self._before = (self._before + data[-TAIL_BYTES:])[-TAIL_BYTES:]

    def _cut_long(self) -> Line:
        """Give out the beginning of a line above the limit, and pass over the rest of it."""
        line = Line(self, self._offset, bytes(self._begun[:_KEPT_OF_LONG]))
        self._take(len(self._begun))
        self._skipping = True
        return line

    def _without_rest_of_long(self, piece: bytes) -> bytes:
        rest, end, more = piece.partition(b"\n")
        self._pass(rest + end)
        self._skipping = not end
        return more


def _new_generation() -> str:
    return secrets.token_hex(8)
