"""A log file with one line that was read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.following import Following


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
def hasty(log: Path) -> Iterator[Following]:
    """Follow it in a hurry: a file counts as quiet at once."""
    found = Following(log, quiet_s=0.0)
    assert found.texts() == ["one"]
    yield found
    found.follower.close()
