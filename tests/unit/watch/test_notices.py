"""The system's notices of changes, and what is done without them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddcolor_operations.watch.notices import Notices


class Heard:
    """What was noticed; a test waits for it."""

    def __init__(self) -> None:
        self.moved = threading.Event()
        self.grown = threading.Event()
        self.complaints: list[str] = []

    def changed(self, moved: bool) -> None:
        """Take a notice."""
        (self.moved if moved else self.grown).set()

    def complain(self, folder: Path, error: OSError) -> None:
        """Take a complaint."""
        self.complaints.append(f"{folder.name}: {error.strerror}")


@pytest.fixture
def heard() -> Heard:
    """Return a listener."""
    return Heard()


@pytest.fixture
def notices(heard: Heard) -> Iterator[Notices]:
    """Listen."""
    running = Notices(heard.changed)
    running.start()
    yield running
    running.stop()


def test_a_file_that_comes_and_grows_is_noticed(
    notices: Notices, heard: Heard, tmp_path: Path
) -> None:
    """What came is told apart from what grew, which needs no new look at the folder."""
    notices.watch([tmp_path], heard.complain)
    with (tmp_path / "a.log").open("w") as stream:
        assert heard.moved.wait(30)
        stream.write("one\n")
        stream.flush()
        assert heard.grown.wait(30)

    assert heard.complaints == []


def test_a_folder_that_was_made_anew_is_watched_anew(
    notices: Notices, heard: Heard, tmp_path: Path
) -> None:
    """A notice is bound to a folder's inode, which goes with it."""
    folder = tmp_path / "log"
    # Kept, so that the new folder cannot have the same inode.
    (tmp_path / "kept").mkdir()
    folder.mkdir()
    notices.watch([folder], heard.complain)
    folder.rename(tmp_path / "kept" / "log")
    notices.watch([folder], heard.complain)
    folder.mkdir()
    notices.watch([folder], heard.complain)
    (folder / "a.log").write_text("one\n")

    assert heard.moved.wait(30)


def test_a_folder_without_notices_is_complained_of_once(
    notices: Notices, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system gives no notices, or no more of them, looking by the clock is left."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(notices._observer, "schedule", refuse)
    notices.watch([tmp_path], heard.complain)
    notices.watch([tmp_path], heard.complain)

    assert heard.complaints == [f"{tmp_path.name}: inotify watch limit reached"]
