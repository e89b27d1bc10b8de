"""``ddcolor-obs watch`` as a process that can be stopped, killed and started again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ddcolor_operations.stack.launch import LaunchSpec
from tests.support.alerting import HasUrl
from tests.support.elastic import Process, eventually

_MAIN = "from ddcolor_operations.cli import main; main()"


class Watching:
    """The log watcher with the shipped rules or those in ``rules``; ``folder`` has its memory."""

    def __init__(
        self, logs: Sequence[Path], sink: HasUrl, folder: Path, rules: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = folder / "watcher.ready"
        self.log_file = folder / "watcher.jsonl"
        launch = LaunchSpec(
            (
                *(sys.executable, "-c", _MAIN, "watch", *map(str, logs)),
                *("--notifier", sink.url, "--memory", str(folder / "watch.sqlite")),
                *("--ready-file", str(self.ready_file), "--log-file", str(self.log_file)),
                *(("--rules", str(rules)) if rules else ()),
            )
        )
        self.process = Process(lambda: launch, folder / "watcher.out")

    def start(self) -> None:
        """Start it and wait until it follows the logs."""
        self.ready_file.unlink(missing_ok=True)
        self.process.start()
        eventually(self.ready_file.exists, timeout_s=60)

    def stop(self) -> None:
        """End it in good order."""
        self.process.stop()

    def kill(self) -> None:
        """End it and its worker at once."""
        self.process.kill()
