"""Which files are meant: a name, a folder or a pattern, and what a rotation makes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

_IN_FOLDER = ("*.jsonl", "*.log")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4", ".tmp", ".swp")
_WILD = frozenset("*?[")


class Sources:
    """The log files that the arguments of a command name, present or still to come.

    An argument is a file, a folder (its ``*.jsonl`` and ``*.log``) or a pattern with ``*``, ``?``,
    ``[...]`` and ``**``. ``left_out`` are files that are never read.
    """

    def __init__(self, arguments: Sequence[str], left_out: Sequence[Path] = ()) -> None:
        self._arguments = [Path(argument).absolute() for argument in arguments]
        self._left_out = {path.absolute() for path in left_out}

    def live(self) -> list[Path]:
        """Return the files that match now, in a stable order."""
        found = {path for argument in self._arguments for path in _expanded(argument)}
        kept = (path for path in found if path.suffix not in _PACKED and _may_be_file(path))
        return sorted(set(kept) - self._left_out)

    def folders(self) -> list[Path]:
        """Return the present folders in which files may appear."""
        found: set[Path] = {path.parent for path in self.live()}
        for argument in self._arguments:
            place = _fixed_part(argument)
            found.add(place if _is(Path.is_dir, place) else place.parent)
        return sorted(folder for folder in found if _is(Path.is_dir, folder))

    def rotated(self, bases: Set[Path], live: Set[Path]) -> Iterator[tuple[Path, Path]]:
        """Yield (file, its base) for what was rotated from ``bases`` by its name, the oldest first.

        The base is the name under which it was written; ``live`` are no older parts of anything.
        """
        known = live | self._left_out
        aside: list[tuple[float, Path, Path]] = []
        for folder in {path.parent for path in bases}:
            for path, written in _files_of(folder):
                base = _base_of(path, bases)
                if base is not None and path not in known and path.suffix not in _PACKED:
                    aside.append((written, path, base))
        for _, path, base in sorted(aside):
            yield path, base


def _expanded(argument: Path) -> Iterator[Path]:
    if _is(Path.is_dir, argument):
        for wanted in _IN_FOLDER:
            yield from argument.glob(wanted)
    elif (fixed := _fixed_part(argument)) != argument and not _is(Path.exists, argument):
        yield from fixed.glob(str(argument.relative_to(fixed)))
    else:
        yield argument


def _is(question: Callable[[Path], bool], path: Path) -> bool:
    """Ask of a path in a folder that may be closed to us: then nothing is there for us."""
    try:
        return question(path)
    except PermissionError:
        return False


def _may_be_file(path: Path) -> bool:
    """Say whether it is worth opening; whoever cannot look into its folder learns that there."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def _fixed_part(argument: Path) -> Path:
    """Return the part of a pattern before the first name that is a pattern itself."""
    while _WILD & set(str(argument)) and not _is(Path.exists, argument):
        argument = argument.parent
    return argument


def _files_of(folder: Path) -> Iterator[tuple[Path, float]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_file():
                yield Path(entry.path), entry.stat().st_mtime
        except OSError:
            # It vanished just now.
            continue


def _base_of(path: Path, bases: Set[Path]) -> Path | None:
    """Return the base that ``path`` (x.log.1, x.log-20260131) was rotated from."""
    name = path.name
    for at, letter in enumerate(name):
        if letter in ".-" and at and (base := path.with_name(name[:at])) in bases:
            return base
    return None
