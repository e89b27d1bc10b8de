"""Name what this machine lacks, with the command that installs it. Standard library only."""

from __future__ import annotations

import sys


def python_problem() -> str | None:
    """Return what is wrong with the running interpreter, or None."""
    if sys.version_info >= (3, 11):
        return None
    found = ".".join(map(str, sys.version_info[:3]))
    return f"Python 3.11 or newer is needed, this is {found}: make PYTHON=python3.12 ..."


def print_missing() -> None:
    """Print the machine's missing tools."""
