"""Every way in which a log file is rotated, cut, renamed, removed and read again."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddcolor_operations.watch import follower as module
from ddcolor_operations.watch.followed import LINE_LIMIT, Line
from ddcolor_operations.watch.follower import Follower
from ddcolor_operations.watch.mark import Mark
from ddcolor_operations.watch.sources import Sources


class Following:
    """A follower of a folder, and what it has given out and complained of."""

    def __init__(self, *arguments: Path, marks: list[Mark] | None = None) -> None:
        self.complaints: list[str] = []
        sources = Sources([str(argument) for argument in arguments])
        self.follower = Follower(
            sources, lambda path, error: self.complaints.append(f"{path.name}: {error.strerror}")
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
        return Following(*arguments, marks=marks)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a log file with one line."""
    file = tmp_path / "a.log"
    file.write_text("one\n")
    return file


@pytest.fixture
def following(log: Path) -> Iterator[Following]:
    """Follow it, and read that line."""
    found = Following(log)
    assert found.texts() == ["one"]
    yield found
    found.follower.close()


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file count as quiet at once."""
    monkeypatch.setattr(module, "_QUIET_S", 0.0)


def add(file: Path, text: str) -> None:
    """Append to a file as a logger does."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(text)


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


@pytest.mark.usefixtures("_hasty")
def test_a_file_that_vanished_is_let_go(following: Following, log: Path) -> None:
    """A removed file is not kept open for ever, nor remembered."""
    log.unlink()
    following.lines()

    assert following.follower.files() == []
    assert following.follower.marks() == []


@pytest.mark.usefixtures("_hasty")
def test_rotated_files_are_remembered_while_nothing_is_written(
    following: Following, log: Path
) -> None:
    """Between a rename and the new file there is none; older parts are not new for that."""
    log.rename(log.with_name("a.log.1"))
    log.write_text("two\n")
    assert following.texts() == ["two"]
    following.lines()
    log.rename(log.with_name("a.log.2"))
    assert following.texts() == []
    assert following.texts() == []
    log.write_text("three\n")

    assert following.texts() == ["three"]


@pytest.mark.usefixtures("_hasty")
def test_a_rotated_file_is_let_go_but_remembered(following: Following, log: Path) -> None:
    """A rotated file is closed once it was read, and not read again after a restart."""
    log.rename(log.with_name("a.log.1"))
    log.write_text("two\n")
    assert following.texts() == ["two"]
    assert following.follower.files() == [log]

    assert following.restarted(log).texts() == []


def test_a_half_line_waits_for_its_end(following: Following, log: Path) -> None:
    """A line is given out when it is whole, also when a character was cut in two."""
    whole = "修复 done\n".encode()
    for at in range(len(whole)):
        with log.open("ab") as stream:
            stream.write(whole[at : at + 1])
        texts = following.texts()

    assert texts == ["修复 done"]


@pytest.mark.usefixtures("_hasty")
def test_a_last_line_without_an_end(following: Following, log: Path) -> None:
    """Text that waits for its end for long is taken as it is; half a JSON record is not."""
    add(log, "two")
    assert following.texts() == ["two"]
    add(log, "\n" + '{"message": "th')
    assert following.texts() == [""]
    add(log, 'ree"}')

    assert following.texts() == ['{"message": "three"}']


@pytest.mark.usefixtures("_hasty")
def test_half_a_record_of_a_rotated_file_is_given_out(following: Following, log: Path) -> None:
    """Nobody will write the end of a line in a file that was renamed."""
    add(log, '{"message": "th')
    log.rename(log.with_name("a.log.1"))

    assert following.texts() == ['{"message": "th']


def test_a_line_of_a_megabyte(following: Following, log: Path) -> None:
    """A long line is one line, in however many pieces it comes."""
    long = "x" * 1_000_000
    for at in range(0, len(long), 100_000):
        add(log, long[at : at + 100_000])
        following.lines()
    add(log, "\ntwo\n")

    assert following.texts() == [long, "two"]


def test_a_line_without_an_end_in_sight(following: Following, log: Path) -> None:
    """Of a line above the limit the beginning is given out; the next line is a line again."""
    add(log, "y" * (LINE_LIMIT + 500_000))
    add(log, "z" * 500_000 + "\ntwo\n")
    first, *rest = following.texts()

    assert first.startswith("yyy")
    assert len(first) < LINE_LIMIT
    assert rest == ["two"]


def test_binary_garbage(following: Following, log: Path) -> None:
    """Whatever the bytes are, the line after them is read."""
    with log.open("ab") as stream:
        stream.write(bytes(range(256)) * 64 + b"\nvalid\n")

    assert following.texts()[-1] == "valid"


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


def test_a_restart_goes_on_behind_the_last_line(following: Following, log: Path) -> None:
    """A new process reads what was added since, and nothing twice."""
    add(log, "two\nhalf of thr")
    assert following.texts() == ["two"]
    add(log, "ee\n")

    assert following.restarted(log).texts() == ["half of three"]


def test_rotated_while_nobody_was_there(following: Following, log: Path) -> None:
    """After two rotations in its absence, a new process reads all that is left of the old files."""
    add(log, "two\n")
    log.rename(log.with_name("a.log.2"))
    log.write_text("three\n")
    log.rename(log.with_name("a.log.1"))
    log.write_text("four\n")

    assert following.restarted(log).texts() == ["two", "three", "four"]


def test_renamed_beyond_recognition_while_nobody_was_there(following: Following, log: Path) -> None:
    """A file whose new name says nothing is found by its inode."""
    add(log, "two\n")
    log.rename(log.with_name("old.previous"))
    log.write_text("three\n")

    assert following.restarted(log).texts() == ["two", "three"]


def test_copied_and_cut_while_nobody_was_there(following: Following, log: Path) -> None:
    """What is in the copy alone is read there, by a new process too."""
    add(log, "two\n")
    shutil.copy(log, log.with_name("a.log.1"))
    os.truncate(log, 0)
    add(log, "three\n")

    assert following.restarted(log).texts() == ["two", "three"]


def test_another_file_with_the_same_inode(following: Following, log: Path) -> None:
    """An inode that was given to another file is no reason to go on in the middle of it."""
    log.write_text("quite another file\n")

    assert following.restarted(log).texts() == ["quite another file"]


def test_moved_to_another_disk(following: Following, log: Path) -> None:
    """A file is known again by what it holds, when all of its inodes are new."""
    add(log, "two\n")
    copy = log.with_name("copy")
    shutil.copy(log, copy)
    log.unlink()
    log.write_text("")
    copy.replace(log)

    assert following.restarted(log).texts() == ["two"]


def test_written_anew_is_another_generation(following: Following, log: Path) -> None:
    """The same words in a file that was written anew are another file's; a restart keeps names."""
    first = following.follower.generations()
    following = following.restarted(log)
    assert following.follower.generations() == first
    os.truncate(log, 0)
    following.lines()
    add(log, "one\n")

    assert following.texts() == ["one"]
    assert not following.follower.generations() & first


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


_STEPS = st.lists(
    st.sampled_from(["write", "half", "rename", "copy", "read", "restart"]), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
def test_any_story_is_told_whole_and_once(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is written, rotated, copied away and restarted: each line comes exactly once."""
    log = tmp_path_factory.mktemp("story") / "a.log"
    log.touch()
    found, told, written, rotated = Following(log), [], 0, 0
    for step in [*steps, "write", "read"]:
        if step in ("write", "half"):
            add(
                log,
                f"line {written} of a story that is long enough\n"[: 9 if step == "half" else None],
            )
            if step == "half":
                add(log, " and its other half\n")
            written += 1
        elif step == "rename":
            rotated += 1
            log.rename(log.with_name(f"a.log.{rotated}"))
            log.touch()
        elif step == "copy":
            # As logrotate does, after a look: of two cuts between looks nobody can know the first.
            told += found.texts()
            rotated += 1
            shutil.copy(log, log.with_name(f"a.log.{rotated}"))
            os.truncate(log, 0)
            told += found.texts()
        elif step == "read":
            told += found.texts()
        else:
            found = found.restarted(log)
    found.follower.close()

    assert sorted(int(text.split()[1]) for text in told) == list(range(written))
