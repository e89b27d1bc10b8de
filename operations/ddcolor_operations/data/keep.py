"""Keep the data in order for as long as the process runs.

Every few seconds each newly refused document gets its record, every hour what is too old goes. A
round that fails is said once and tried again: Elasticsearch may be away for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from elasticsearch import Elasticsearch
from structlog.typing import FilteringBoundLogger

from ddcolor_operations.elastic.requests import NotYetError
from ddcolor_operations.elastic.resources import SetupError

from . import letters, retention


class Keeper:
    """The loop; ``ready_file`` is touched after each good round, for a health check to look at."""

    def __init__(
        self,
        client: Elasticsearch,
        folder: Path,
        log: FilteringBoundLogger,
        *,
        every_s: float,
        retention_every_s: float,
        ready_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._folder = folder
        self._log = log
        self._every_s = every_s
        self._retention_every_s = retention_every_s
        self._ready_file = ready_file
        self._clock = clock
        self._retention_due = clock()
        # After a start, and after a collection that was cut off, something older may be left.
        self._collect_all = True
        self._failed = False
        self._problem: str | None = None

    def run(self, stopped: threading.Event) -> None:
        """Go round until ``stopped`` is set."""
        while not stopped.is_set():
            self.round()
            stopped.wait(self._every_s)

    def round(self) -> None:
        """Do once what is due, and say what came of it."""
        try:
            self._collect()
            if self._clock() >= self._retention_due:
                for action in retention.apply(self._client, self._folder, dry_run=False):
                    self._log.info(f"Retention: {action.action} {action.target} ({action.why})")
                self._retention_due = self._clock() + self._retention_every_s
        except SetupError as error:
            # A shard that is about to start is no fault, unless it does not.
            if str(error) != self._problem and (self._failed or not isinstance(error, NotYetError)):
                self._log.error(f"The data cannot be kept in order: {error}")
                self._problem = str(error)
            self._failed = True
            return
        self._failed = False
        if self._problem is not None:
            self._log.info("The data is kept in order again")
            self._problem = None
        if self._ready_file is not None:
            self._ready_file.touch()

    def _collect(self) -> None:
        everything, self._collect_all = self._collect_all, True
        refused = letters.collect(self._client, everything=everything)
        self._collect_all = False
        if refused:
            self._log.warning(f"Elasticsearch refused {refused} documents, now on record")
