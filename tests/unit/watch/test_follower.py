"""Every way in which a log file is rotated, cut, renamed and removed while it is followed."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.watch.follower import Follower
from ddcolor_operations.watch.sources import Sources
from tests.support.following import Following, add


def test_what_is_added_is_given_out_once(following: Following, log: Path) -> None:
    """Lines come in their order, each one once."""
    add(log, "two\nthree\n")

    assert following.texts() == ["two", "three"]
    assert following.texts() == []


def test_without_a_memory_only_what_comes_later_is_read(log: Path) -> None:
    """At the first start an old log raises no old alerts; a line that is half there counts."""
    add(log, "two")
    found = Follower(Sources([str(log)]), lambda *_: None)
    found.begin(from_start=False)
    add(log, " and a half\nthree\n")

    assert [line.data for line in found.read()] == [b"two and a half", b"three"]


def test_rename_and_create(following: Following, log: Path) -> None:
    """The end of the renamed file comes before the start of the new one."""
    add(log, "two\n")
    log.rename(log.with_name("a.log.1"))
    log.write_text("three\n")

    assert following.texts() == ["two", "three"]


def test_a_writer_that_still_has_the_renamed_file(following: Following, log: Path) -> None:
    """A line that another process writes to the renamed file a moment later is read."""
    with log.open("a") as late:
        log.rename(log.with_name("a.log.1"))
        log.write_text("three\n")
        assert following.texts() == ["three"]
        late.write("two\n")

    assert following.texts() == ["two"]


def test_rotated_twice_between_two_looks(following: Following, log: Path) -> None:
    """A file that came and was renamed unseen is read whole."""
    add(log, "two\n")
    log.rename(log.with_name("a.log.2"))
    log.write_text("three\n")
    log.rename(log.with_name("a.log.1"))
    log.write_text("four\n")

    assert following.texts() == ["two", "three", "four"]


def test_copy_and_cut(following: Following, log: Path) -> None:
    """What was added before the copy and not read yet is read in the copy."""
    add(log, "two\n")
    shutil.copy(log, log.with_name("a.log.1"))
    os.truncate(log, 0)
    add(log, "three\n")

    assert following.texts() == ["two", "three"]
    assert following.texts() == []


def test_copy_and_cut_while_reading_goes_on(following: Following, log: Path) -> None:
    """A copy that is seen before the cut is not told a second time."""
    add(log, "two\n")
    shutil.copy(log, log.with_name("a.log.1"))
    assert following.texts() == ["two"]
    os.truncate(log, 0)
    add(log, "three\n")

    assert following.texts() == ["three"]


def test_a_copy_somebody_made_is_not_read(following: Following, log: Path) -> None:
    """A copy beside a log that goes on is no part of it."""
    add(log, "two\n")
    assert following.texts() == ["two"]
    shutil.copy(log, log.with_name("a.log.bak"))
    add(log, "three\n")

    assert following.texts() == ["three"]


def test_cut(following: Following, log: Path) -> None:
    """A file that is cut is read from its start."""
    os.truncate(log, 0)
    assert following.texts() == []
    add(log, "two\n")

    assert following.texts() == ["two"]


def test_cut_and_grown_beyond_the_old_size(following: Following, log: Path) -> None:
    """A file that was written anew between two looks is not taken for a grown one."""
    log.write_text("something else that is longer\n")

    assert following.texts() == ["something else that is longer"]


def test_cut_by_a_writer_that_keeps_its_place(tmp_path: Path) -> None:
    """The zeros that such a writer leaves are no line."""
    log = tmp_path / "a.log"
    with log.open("w") as stream:
        stream.write("one\n")
        stream.flush()
        found = Following(log)
        assert found.texts() == ["one"]
        os.truncate(log, 0)
        assert found.texts() == []
        stream.write("two\n")

    assert found.texts() == ["two"]


def test_removed_and_made_anew(following: Following, log: Path) -> None:
    """The last lines of a removed file are read, then the new file."""
    add(log, "two\n")
    log.unlink()
    assert following.texts() == ["two"]
    log.write_text("three\n")

    assert following.texts() == ["three"]


def test_a_file_that_vanished_is_let_go(hasty: Following, log: Path) -> None:
    """A removed file is not kept open for ever, nor remembered."""
    log.unlink()
    hasty.lines()

    assert hasty.follower.files() == []
    assert hasty.follower.marks() == []


def test_rotated_files_are_remembered_while_nothing_is_written(hasty: Following, log: Path) -> None:
    """Between a rename and the new file there is none; older parts are not new for that."""
    log.rename(log.with_name("a.log.1"))
    log.write_text("two\n")
    assert hasty.texts() == ["two"]
    hasty.lines()
    log.rename(log.with_name("a.log.2"))
    assert hasty.texts() == []
    assert hasty.texts() == []
    log.write_text("three\n")

    assert hasty.texts() == ["three"]


def test_a_rotated_file_is_let_go_but_remembered(hasty: Following, log: Path) -> None:
    """A rotated file is closed once it was read, and not read again after a restart."""
    log.rename(log.with_name("a.log.1"))
    log.write_text("two\n")
    assert hasty.texts() == ["two"]
    assert hasty.follower.files() == [log]

    assert hasty.restarted(log).texts() == []


def test_no_permission_and_then_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is complained of once and read when it may be."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    real, allowed = os.open, False

    def guarded(path: Path, flags: int) -> int:
        if not allowed:
            raise PermissionError(13, "Permission denied")
        return real(path, flags)

    # As root, for whom these tests may run, no file is closed.
    monkeypatch.setattr("ddcolor_operations.watch.followed.os.open", guarded)
    found = Following(log)
    assert found.texts() == []
    assert found.texts() == []
    assert found.complaints == ["a.log: Permission denied"]
    allowed = True

    assert found.texts() == ["one"]


def test_a_folder_that_is_closed_and_opened(
    following: Following, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in a folder that may not be entered is complained of once, and then read again."""
    real, closed = os.stat, True

    def guarded(path: Any, **options: Any) -> os.stat_result:
        if closed and isinstance(path, Path) and path.is_relative_to(log.parent):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    # As root, for whom these tests may run, no folder is closed.
    monkeypatch.setattr(os, "stat", guarded)
    assert following.texts() == []
    assert following.texts() == []
    assert following.complaints == ["a.log: Permission denied"]
    closed = False
    add(log, "two\n")

    assert following.texts() == ["two"]


def test_a_folder_that_comes_later(tmp_path: Path) -> None:
    """Files, folders and patterns may name what is not there yet."""
    found = Following(tmp_path / "x", tmp_path / "y" / "b.log", tmp_path / "z" / "*" / "c*.txt")
    assert found.texts() == []
    for name in ("x/a.jsonl", "y/b.log", "z/deep/c1.txt", "z/deep/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")

    assert sorted(found.texts()) == ["x/a.jsonl", "y/b.log", "z/deep/c1.txt"]


def test_two_files_of_one_name(tmp_path: Path) -> None:
    """Files that share a name in different folders, and their rotations, are apart."""
    logs = [tmp_path / name / "a.log" for name in "12"]
    for log in logs:
        log.parent.mkdir()
        log.write_text(f"one of {log.parent.name}\n")
    found = Following(tmp_path / "*" / "a.log")
    assert sorted(found.texts()) == ["one of 1", "one of 2"]
    logs[0].rename(logs[0].with_name("a.log.1"))
    logs[0].write_text("two of 1\n")

    assert found.texts() == ["two of 1"]


def test_a_writer_in_a_hurry(tmp_path: Path) -> None:
    """Of tens of thousands of lines, written and rotated as fast as can be, each comes once.

    In their order, but for parts that were written within one tick of the file system's clock.
    """
    log = tmp_path / "a.log"
    log.touch()
    found = Following(log)
    count, rotate_every = 40_000, 3_000

    def write() -> None:
        stream = log.open("a")
        for number in range(count):
            stream.write(f"line {number} of a log that is written in a hurry\n")
            if number % rotate_every == rotate_every - 1:
                stream.close()
                log.rename(log.with_name(f"a.log.{number}"))
                stream = log.open("a")
        stream.close()

    writer = threading.Thread(target=write)
    writer.start()
    told: list[str] = []
    while writer.is_alive():
        told += found.texts()
    told += found.texts()
    writer.join()
    found.follower.close()

    numbers = [int(text.split()[1]) for text in told]
    assert sorted(numbers) == list(range(count))
    assert all(b - a == 1 or b % rotate_every == 0 for a, b in itertools.pairwise(numbers))
