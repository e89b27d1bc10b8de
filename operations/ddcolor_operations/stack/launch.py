"""What one process of the native stack is started with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """How to start one process; whoever starts it uses :meth:`command` and :meth:`environment`.

    ``uid`` and ``gid`` are the user to run as (None: the caller's). ``clear_env`` says that the
    process gets ``env`` alone; otherwise ``env`` is laid over the caller's environment.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    clear_env: bool = False
    uid: int | None = None
    gid: int | None = None
    cwd: Path | None = None

    def command(self) -> list[str]:
        """Return the argument list, with the user and the bond to the parent applied.

        ``setpriv`` executes the program in its own place (the pid stays), after it has dropped
        privileges and asked the kernel for a SIGTERM when the parent ends: so nothing is orphaned
        even by a ``kill -9`` of the parent. The bond is to the parent's *thread* that starts the
        process, so start from a thread that lives as long as the process should.
        """
        setpriv = shutil.which("setpriv") or "setpriv"
        prefix = [setpriv, "--pdeathsig", "TERM"]
        if self.uid is not None:
            gid = self.uid if self.gid is None else self.gid
            prefix += [f"--reuid={self.uid}", f"--regid={gid}", "--clear-groups"]
        return [*prefix, "--", *self.argv]

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the process."""
        return dict(self.env) if self.clear_env else {**os.environ, **self.env}
