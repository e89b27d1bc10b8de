"""The demo's own state folder: emptied before each run, never anybody else's."""

from __future__ import annotations

import shutil
from pathlib import Path

from ddcolor_operations.stack.config import default_state

from .client import DemoError

_MARKER = "made-by-the-demo"


def demo_state() -> Path:
    """Return the folder that is used when none is named: beside the default stack's."""
    return default_state().with_name("demo")


def empty_state(state: Path) -> None:
    """Make ``state`` an empty folder of the demo.

    A fresh start, so that documents and alerts are those of this run and no error is held back
    because an earlier run had it within five minutes. A folder with something in it that the demo
    did not make is left alone: DemoError.
    """
    if state.exists() and any(state.iterdir()) and not (state / _MARKER).exists():
        raise DemoError(
            f"{state} holds data that no demo made, and the demo begins with an empty folder:"
            " name another one with --state."
        )
    if state.exists():
        shutil.rmtree(state)
    state.mkdir(parents=True)
    (state / _MARKER).touch()
