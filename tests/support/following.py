"""A follower of log files, one look at a time."""

from __future__ import annotations

from pathlib import Path

from ddcolor_operations.watch.followed import Line
from ddcolor_operations.watch.follower import QUIET_S, Follower
from ddcolor_operations.watch.mark import Mark
from ddcolor_operations.watch.sources import Sources


class Following:
    """A follower of a folder, and what it has given out and complained of."""

    def __init__(
        self, *arguments: Path, marks: list[Mark] | None = None, quiet_s: float = QUIET_S
    ) -> None:
        self.complaints: list[str] = []
        self._quiet_s = quiet_s
        self.follower = Follower(
            Sources([str(argument) for argument in arguments]),
            lambda path, error: self.complaints.append(f"{path.name}: {error.strerror}"),
            quiet_s,
        )
        if marks is None:
            self.follower.begin(from_start=True)
        else:
            self.follower.resume(marks)

    def lines(self) -> list[Line]:
        """Return what is new, up to the end of all files."""
        found: list[Line] = []
        self.follower.look()
        while True:
            self.follower.look_if_cut()
            found += self.follower.read()
            if not self.follower.has_more():
                return found

    def texts(self) -> list[str]:
        """Return the texts of what is new and not only for context."""
        return [
            line.data.decode("utf-8", "replace")
            for line in self.lines()
            if line.offset >= line.file.told_from
        ]

    def restarted(self, *arguments: Path) -> Following:
        """Return a follower of a new process, which knows what this one would have saved."""
        marks = [Mark.from_json(mark.to_json()) for mark in self.follower.marks()]
        self.follower.close()
        return Following(*arguments, marks=marks, quiet_s=self._quiet_s)


def add(file: Path, text: str) -> None:
    """Append to a file as a logger does."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(text)
