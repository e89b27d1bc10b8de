"""A folder of the cache is whole or not there."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ddcolor_operations.toolchain.cached import ensure_folder, is_complete


def write(folder: Path) -> None:
    """Stand for a build that works."""
    (folder / "result").write_text("built")


def test_folder_is_built_once(tmp_path: Path) -> None:
    """The second call finds what the first one built."""
    folder = tmp_path / "cache" / "part-1"
    assert ensure_folder(folder, write) is True
    (folder / "result").write_text("kept")
    assert ensure_folder(folder, write) is False
    assert (folder / "result").read_text() == "kept"


def test_build_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    """What an interrupted build left is thrown away, and the folder does not count as built."""
    folder = tmp_path / "part"

    def interrupted(target: Path) -> None:
        (target / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_folder(folder, interrupted)
    assert not is_complete(folder)
    assert ensure_folder(folder, write) is True
    assert sorted(path.name for path in folder.iterdir()) == [".complete", "result"]


def test_callers_at_the_same_time_build_once(tmp_path: Path) -> None:
    """Of several callers one builds; the others wait for it."""
    folder = tmp_path / "part"
    both_called = threading.Barrier(2, timeout=10)
    builds: list[bool] = []

    def call() -> None:
        both_called.wait()
        builds.append(ensure_folder(folder, write))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert sorted(builds) == [False, True]
