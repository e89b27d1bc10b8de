"""Follow a file (or standard input) of ComfyUI's own log lines."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_LOOK_S = 0.25
_LINE_CHARS = 64_000


def lines_of(stream: TextIO) -> Iterator[str]:
    """Yield the lines of a stream to its end; of one without an end in sight, pieces."""
    while line := stream.readline(_LINE_CHARS):
        yield line.rstrip("\r\n")


def follow(path: Path, stop: threading.Event, *, from_start: bool = False) -> Iterator[str]:
    """Yield lines as they are appended until ``stop`` is set; also past a rotation.

    A file that is replaced or cut is read anew from its start. Errors: ``OSError`` if it cannot be
    opened at first.
    """
    stream: TextIO = path.open(encoding="utf-8", errors="replace", newline="\n")
    try:
        if not from_start:
            stream.seek(0, io.SEEK_END)
        begun = ""
        while not stop.is_set():
            piece = stream.readline(_LINE_CHARS)
            if piece:
                begun += piece
                if piece.endswith("\n") or len(begun) >= _LINE_CHARS:
                    yield begun.rstrip("\r\n")
                    begun = ""
            elif (new := _reopened(path, stream)) is not None:
                stream.close()
                stream, begun = new, ""
            else:
                stop.wait(_LOOK_S)
    finally:
        stream.close()


def _reopened(path: Path, stream: TextIO) -> TextIO | None:
    """Return a new stream if the file was replaced or cut; the old one is at its end."""
    try:
        there, here = path.stat(), stream.fileno()
        same = (there.st_dev, there.st_ino) == _identity(here)
        if same and there.st_size >= stream.tell():
            return None
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except OSError:
        # Between the rename and the new file there is none.
        return None


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
