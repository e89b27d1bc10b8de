"""A new process goes on where the last one had come to, whatever was rotated meanwhile."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.following import Following, add


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
