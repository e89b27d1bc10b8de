"""Run one tool to its end, and say plainly when it fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import ToolchainError

_TAIL_LINES = 15


def run_tool(
    argv: Sequence[str],
    *,
    what: str,
    what_to_do: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    lowest_priority: bool = False,
) -> str:
    """Run ``argv`` and return what it printed on both streams.

    Raises ToolchainError with the end of that output if the tool is missing or exits non-zero.
    ``lowest_priority`` keeps a long compilation from starving what else runs on the machine.
    """
    command = ["nice", *argv] if lowest_priority else list(argv)
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolchainError(f"{what}: {argv[0]} is not installed", "PATH", what_to_do) from error
    if result.returncode != 0:
        tail = "\n".join(result.stdout.strip().splitlines()[-_TAIL_LINES:])
        raise ToolchainError(
            f"{what}: {argv[0]} ended with status {result.returncode}:\n{tail}\n",
            str(cwd or Path.cwd()),
            what_to_do,
        )
    return result.stdout
