"""``ddcolor-obs watch`` as a process that can be stopped, killed and started again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.alerting import HasUrl, ReadyPart


class Watching(ReadyPart):
    """The log watcher with the shipped rules or those in ``rules``; ``folder`` has its memory.

    It is ready when it follows the logs.
    """

    def __init__(
        self, logs: Sequence[Path], sink: HasUrl, folder: Path, rules: Path | None = None
    ) -> None:
        argv = (
            *(sys.executable, "-m", "ddcolor_operations", "watch", *map(str, logs)),
            *("--notifier", sink.url, "--memory", str(folder / "watch.sqlite")),
            *(("--rules", str(rules)) if rules else ()),
        )
        super().__init__(argv, folder, "watcher")
