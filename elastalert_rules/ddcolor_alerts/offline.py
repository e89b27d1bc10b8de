"""Runs rules on series of documents without Elasticsearch: JSON on stdin, JSON on stdout.

For rule tests and for looking back. Each case names a rule file and gives documents with the
seconds at which they arrive; they go through the rule as in the log watcher (:mod:`.engine`), in
steps of their times, with time passing between them. A restart begins with a new rule object on
what the last one has kept.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any

from ddcolor_alerts.engine import Found, RuleRun
from ddcolor_alerts.fields import Fields
from ddcolor_alerts.loader import CheckedLoader
from ddcolor_alerts.rulebook import CONF
from ddcolor_alerts.store import Store

# A rule on silence fires between two documents; a step takes less than a tenth of a millisecond.
_TICK_S = 5.0


class Case:
    """One rule over the life of several processes; times are seconds from the start."""

    def __init__(self, rule_file: str, start: datetime) -> None:
        self._file = rule_file
        self._start = start
        self._store = Store(None)
        self._run = self._load(0.0)
        self._at = 0.0
        self.found: list[dict[str, Any]] = []

    def take(self, at: float, documents: list[dict[str, Any]]) -> None:
        """Let the time pass until ``at``, then take documents that arrive together."""
        self.wait(at)
        new = [(doc, Fields(doc)) for doc in documents if self._store.is_new(doc["_id"])]
        self._note(at, self._run.take(new, self._moment(at)))
        self._note(at, self._run.tick(self._moment(at)))

    def wait(self, until: float) -> None:
        """Let the time pass."""
        while self._at < until:
            self._at = min(self._at + _TICK_S, until)
            self._note(self._at, self._run.tick(self._moment(self._at)))

    def restart(self, at: float) -> None:
        """Begin as a new process does."""
        self.wait(at)
        self._run.save(self._moment(at))
        self._run = self._load(at)

    def _note(self, at: float, found: Found) -> None:
        for message in (*found.alerts, *found.heartbeats):
            happened = datetime.fromisoformat(message["occurred_at"]) - self._start
            about = {"at": round(happened.total_seconds(), 3), "raised": round(at, 3)}
            self.found.append({**message, **about})

    def _moment(self, at: float) -> datetime:
        return self._start + timedelta(seconds=at)

    def _load(self, at: float) -> RuleRun:
        rule = _loader().load_configuration(self._file, CONF)
        return RuleRun(rule, self._store, self._moment(at))


def run_case(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alerts, and heartbeats for the notifier, in the order in which they were raised.

    ``at`` is when it happened, ``raised`` when the rule said so, both in seconds from the start.
    """
    life = Case(case["rule_file"], datetime.fromisoformat(case["start"]))
    restarts = sorted(case["restarts"])
    for at, group in groupby(case["documents"], key=lambda entry: entry["at"]):
        while restarts and restarts[0] <= at:
            life.restart(restarts.pop(0))
        life.take(at, [entry["document"] for entry in group])
    for at in restarts:
        life.restart(at)
    life.wait(case["until"])
    return life.found


@cache
def _loader() -> CheckedLoader:
    # Reading ElastAlert2's schema takes longer than all cases of a rule.
    return CheckedLoader(CONF)


def main() -> None:
    """Read cases from stdin, write their alerts to stdout; a broken rule raises EAException."""
    os.environ.setdefault("DDCOLOR_NOTIFIER_URL", "http://notifier.invalid")
    json.dump([run_case(case) for case in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
