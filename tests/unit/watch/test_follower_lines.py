"""Lines without an end, long ones, and what is no text at all."""

from __future__ import annotations

from pathlib import Path

from ddcolor_operations.watch.followed import LINE_LIMIT
from tests.support.following import Following, add


def test_a_half_line_waits_for_its_end(following: Following, log: Path) -> None:
    """A line is given out when it is whole, also when a character was cut in two."""
    whole = "修复 done\n".encode()
    for at in range(len(whole)):
        with log.open("ab") as stream:
            stream.write(whole[at : at + 1])
        texts = following.texts()

    assert texts == ["修复 done"]


def test_a_last_line_without_an_end(hasty: Following, log: Path) -> None:
    """Text that waits for its end for long is taken as it is; half a JSON record is not."""
    add(log, "two")
    assert hasty.texts() == ["two"]
    add(log, "\n" + '{"message": "th')
    assert hasty.texts() == [""]
    add(log, 'ree"}')

    assert hasty.texts() == ['{"message": "three"}']


def test_half_a_record_of_a_rotated_file_is_given_out(hasty: Following, log: Path) -> None:
    """Nobody will write the end of a line in a file that was renamed."""
    add(log, '{"message": "th')
    log.rename(log.with_name("a.log.1"))

    assert hasty.texts() == ['{"message": "th']


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
