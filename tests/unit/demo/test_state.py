"""The demo's state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddcolor_operations.demo.client import DemoError
from ddcolor_operations.demo.state import empty_state


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    """The first run needs no preparation."""
    empty_state(tmp_path / "a" / "demo")

    assert (tmp_path / "a" / "demo").is_dir()


def test_what_an_earlier_demo_left_is_removed(tmp_path: Path) -> None:
    """Each run begins without alerts and documents of the one before."""
    empty_state(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old").touch()
    empty_state(tmp_path)

    assert not (tmp_path / "data").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A mistyped --state costs nobody their data."""
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(DemoError, match="name another one with --state"):
        empty_state(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
