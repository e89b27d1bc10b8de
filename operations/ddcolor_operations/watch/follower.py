"""Follow a set of log files through every way in which they are rotated.

==================== ===========================================================================
what happens         what is done
==================== ===========================================================================
rename and create    the renamed file is read to its end first, then the new one from its start
copy and cut         what the copy holds beyond the reading is read there, then the file anew
cut, written anew    read from the start
removed              read to its end, as long as it is open
rotated while away   found again by inode, else by content; files in between are read whole
==================== ===========================================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from .followed import FollowedFile, Line
from .mark import Mark
from .sources import Sources

# A writer may still have a renamed file open: ours look once a second.
QUIET_S = 5.0

Complain = Callable[[Path, OSError], None]


class Follower:
    """Gives out the lines of ``sources`` as they come.

    ``complain`` is told of each file that cannot be read, once until it can; it is tried again at
    each look. A file in which nothing came for ``quiet_s`` is done if it was renamed, and its last
    line counts though it has no end. Nothing here raises OSError.
    """

    def __init__(self, sources: Sources, complain: Complain, quiet_s: float = QUIET_S) -> None:
        self._sources = sources
        self._complain = complain
        self._quiet_s = quiet_s
        self._open: dict[tuple[int, int], FollowedFile] = {}
        # Rotated files that were read to their end and are still there, and what they were.
        self._done: dict[tuple[int, int], tuple[Mark, Path]] = {}
        # Copies that were made of an open file, as before it is cut.
        self._copies: dict[tuple[int, int], FollowedFile] = {}
        self._refused: set[Path] = set()

    def begin(self, *, from_start: bool) -> None:
        """Begin without a memory: with what is added from now on, or with what is there."""
        for file in self._open_all(self._found()):
            if not from_start:
                file.skip_to_end()
        self.look()

    def resume(self, marks: Sequence[Mark]) -> None:
        """Go on where ``marks`` say an earlier process had come to."""
        found = [*self._found()]
        found += _strangers(marks, {path for path, _ in found})
        unclaimed = self._open_all(found)
        for mark in marks:
            here = [file for file in unclaimed if file.holds(mark)]
            same = [file for file in here if file.identity == mark.identity]
            # Two files without content are not the same one for that.
            others = here if mark.offset else []
            for file in [*same, *others][:1]:
                file.resume(mark)
                unclaimed.remove(file)
        for file in unclaimed:
            if not file.is_live:
                self._sort_out(file)
        self.look()

    def look(self) -> None:
        """Find what is new, renamed, cut or gone."""
        present: dict[tuple[int, int], Path] = {}
        names = set()
        for path, base in self._found():
            names.add(path)
            self._meet(path, base, present)
        self._refused &= names
        for file in list(self._open.values()):
            if self._try(file, FollowedFile.was_cut):
                self._read_copy_of(file)
                file.start_over()
            file.path = present.get(file.identity, file.path)
            file.is_live = present.get(file.identity) == file.base
            if not file.is_live:
                self._leave(file, present)
        for identity in set(self._done) - set(present):
            del self._done[identity]
        for identity in set(self._copies) - set(present):
            self._copies.pop(identity).close()

    def look_if_cut(self) -> None:
        """Look when one of the files was cut; cheap enough for each round."""
        if any(self._try(file, FollowedFile.was_cut) for file in self._open.values()):
            self.look()

    def read(self) -> Iterator[Line]:
        """Yield the lines of one piece of each file; older parts of a file come first."""
        waiting: set[Path] = set()
        for file in sorted(self._open.values(), key=lambda file: (file.is_live, file.modified())):
            if file.base in waiting:
                continue
            try:
                yield from file.read()
                if file.has_more():
                    waiting.add(file.base)
                elif self._is_whole(file):
                    yield from file.flush()
            except OSError as error:
                self._say(file.path, error)
                self._let_go(file)

    def has_more(self) -> bool:
        """Say whether there is something that no :meth:`read` has looked at."""
        return any(self._try(file, FollowedFile.has_more) for file in self._open.values())

    def marks(self) -> list[Mark]:
        """Return how far the lines that were given out go, of every file that is there."""
        done = (mark for mark, _ in self._done.values())
        return [*(file.mark() for file in self._open.values()), *done]

    def generations(self) -> set[str]:
        """Return the names of the contents that are being read."""
        return {file.generation for file in self._open.values()}

    def files(self) -> list[Path]:
        """Return the files that are being read, by their present names."""
        return sorted(file.path for file in self._open.values())

    def close(self) -> None:
        """Let all files go."""
        for file in [*self._open.values(), *self._copies.values()]:
            file.close()
        self._open.clear()
        self._copies.clear()

    def _found(self) -> Iterator[tuple[Path, Path]]:
        """Yield each file with the name under which it is, or was, written.

        The folders are searched for older parts after the present files were met: so whatever is
        rotated meanwhile, every part before one that is met is found in the same look, and is read
        before it.
        """
        live = self._sources.live()
        for path in live:
            yield path, path
        bases = {*live, *(base for _, base in self._done.values())}
        bases.update(file.base for file in [*self._open.values(), *self._copies.values()])
        yield from self._sources.rotated(bases, set(live))

    def _open_all(self, found: Iterable[tuple[Path, Path]]) -> list[FollowedFile]:
        files = [self._opened(path, base) for path, base in found]
        return [file for file in files if file is not None]

    def _meet(self, path: Path, base: Path, present: dict[tuple[int, int], Path]) -> None:
        """Open ``path`` unless it is known by its identity."""
        try:
            found = path.stat()
        except OSError as error:
            self._say(path, error)
            return
        identity = (found.st_dev, found.st_ino)
        present[identity] = path
        if identity in self._open or identity in self._copies:
            return
        done, _ = self._done.get(identity, (None, base))
        if done is not None and done.offset == found.st_size:
            return
        file = self._opened(path, base)
        if file is None:
            return
        if done is not None and file.holds(done):
            file.resume(done)
        elif path != base:
            self._sort_out(file)
        self._done.pop(identity, None)

    def _sort_out(self, file: FollowedFile) -> None:
        """Put aside what may be a copy; a file that is still empty is looked at again."""
        if file.is_empty():
            del self._open[file.identity]
            file.close()
        elif any(file.begins_as(other) for other in self._open.values() if other is not file):
            del self._open[file.identity]
            self._copies[file.identity] = file

    def _read_copy_of(self, file: FollowedFile) -> None:
        """Read in a copy of ``file`` what was in it beyond the reading when it was cut."""
        mark = file.mark()
        for identity, copy in list(self._copies.items()):
            if copy.base == file.base and copy.holds(mark):
                copy.resume(mark)
                self._open[identity] = self._copies.pop(identity)

    def _leave(self, file: FollowedFile, present: Mapping[tuple[int, int], Path]) -> None:
        """Let a file that is no longer written go once it was read and has been quiet."""
        if self._is_quiet(file) and not file.begun and not self._try(file, FollowedFile.has_more):
            self._let_go(file)
            if file.identity not in present:
                del self._done[file.identity]

    def _is_quiet(self, file: FollowedFile) -> bool:
        return time.monotonic() - file.grown_at >= self._quiet_s

    def _is_whole(self, file: FollowedFile) -> bool:
        """Say whether a line without an end is to be taken as it is: nothing more will come."""
        if not file.begun or not self._is_quiet(file):
            return False
        if not file.is_live or not file.begun.lstrip().startswith(b"{"):
            return True
        try:
            orjson.loads(file.begun)
        except orjson.JSONDecodeError:
            return False
        return True

    def _let_go(self, file: FollowedFile) -> None:
        self._done[file.identity] = (file.mark(), file.base)
        del self._open[file.identity]
        file.close()

    def _opened(self, path: Path, base: Path) -> FollowedFile | None:
        try:
            file = FollowedFile(path, base)
        except OSError as error:
            self._say(path, error)
            return None
        self._refused.discard(path)
        if file.identity in self._open:
            # A second name of it.
            file.close()
            return None
        self._open[file.identity] = file
        return file

    def _try(self, file: FollowedFile, question: Callable[[FollowedFile], bool]) -> bool:
        try:
            return question(file)
        except OSError as error:
            self._say(file.path, error)
            return False

    def _say(self, path: Path, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) and path not in self._refused:
            self._refused.add(path)
            self._complain(path, error)


def _strangers(marks: Sequence[Mark], known: set[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield files that were renamed beyond recognition, by their inodes."""
    for mark in marks:
        base = Path(mark.path)
        try:
            entries = [path for path in base.parent.iterdir() if path not in known]
            for path in entries:
                found = path.stat()
                if (found.st_dev, found.st_ino) == mark.identity:
                    yield path, base
        except OSError:
            # The folder, or a file in it, is gone.
            continue
