"""ConsecutiveFailures, on made-up rows.

Run in ElastAlert2's environment by tests/integration/test_elastalert_rules.py.
"""

# ruff: noqa: PT027, S311  # pytest is not installed there; chance is for variety, not for secrets

from __future__ import annotations

import random
import unittest
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from elastalert.elastalert import ElasticsearchException
from elastalert.util import EAException

from ddcolor_alerts.consecutive import ConsecutiveFailures

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def make_rule(**changes: Any) -> dict[str, Any]:
    """Return a rule that counts F between S by service."""
    return {
        "name": "consecutive",
        "timestamp_field": "event.ingested",
        "filter": [],
        "threshold": 3,
        "query_key": "service",
        "failure": {"outcome": "F"},
        "success": {"outcome": ["S", "s"]},
        **changes,
    }


def events(outcomes: str, first: int = 0) -> list[dict[str, Any]]:
    """Return one event a second."""
    return [
        {
            "outcome": outcome,
            "service": "a",
            "@timestamp": (START + timedelta(seconds=first + i)).isoformat(),
            "event": {"ingested": START + timedelta(seconds=first + i)},
            "number": first + i,
        }
        for i, outcome in enumerate(outcomes)
    ]


class FixedHistory:
    """A history that holds these events, or fails."""

    def __init__(self, before: list[dict[str, Any]], failures: int = 0) -> None:
        self.before = before
        self.failures = failures

    def outcomes_before(self, key: str, moment: datetime) -> Iterator[dict[str, Any]]:
        """Yield them, the newest first."""
        if self.failures:
            self.failures -= 1
            raise ElasticsearchException("away")
        for event in reversed(self.before):
            if event["service"] == key and event["event"]["ingested"] <= moment:
                yield event


def expected(outcomes: str) -> list[int]:
    """Return where a row reaches a multiple of three, by the plainest count there is."""
    row, found = 0, []
    for number, outcome in enumerate(outcomes):
        row = row + 1 if outcome == "F" else 0 if outcome in "Ss" else row
        if outcome == "F" and row % 3 == 0:
            found.append(number)
    return found


class ConsecutiveTest(unittest.TestCase):
    """Where it fires."""

    def fired(self, outcomes: str, batches: list[int], restarts: set[int]) -> list[int]:
        """Feed ``outcomes`` in batches, with a new object before those in ``restarts``."""
        all_events = events(outcomes)
        found: list[int] = []
        rule = ConsecutiveFailures(make_rule(starttime=START - timedelta(seconds=1)))
        rule.history = FixedHistory([])
        done = 0
        for number, size in enumerate(batches):
            if number in restarts:
                begin = START + timedelta(seconds=done - 1)
                rule = ConsecutiveFailures(make_rule(starttime=begin))
                rule.history = FixedHistory(all_events[:done])
            batch = all_events[done : done + size]
            done += size
            if batch:
                rule.add_data(random.sample(batch, len(batch)))
            rule.garbage_collect(START)
            found += [match["number"] for match in rule.matches]
            rule.matches.clear()
        return found

    def test_examples(self) -> None:
        """F F S F F F fires once; six in a row fire twice; other documents do not matter."""
        for outcomes in ("FFSFFF", "FFFFFF", "FFSFF", "FxFyF", "SFFF", "FFsF", "", "FFF"):
            with self.subTest(outcomes):
                assert self.fired(outcomes, [1] * len(outcomes), set()) == expected(outcomes)

    def test_any_batches_and_restarts_change_nothing(self) -> None:
        """However the documents come and wherever it restarts, it fires at the same ones."""
        random.seed(7)
        for _ in range(300):
            outcomes = "".join(random.choices("FFFSx", k=random.randrange(1, 30)))
            batches, left = [], len(outcomes)
            while left:
                batches.append(random.randint(1, left))
                left -= batches[-1]
            restarts = {i for i in range(len(batches)) if random.random() < 0.4}
            with self.subTest(outcomes=outcomes, batches=batches, restarts=restarts):
                assert self.fired(outcomes, batches, restarts) == expected(outcomes)

    def test_waits_for_its_history(self) -> None:
        """Without Elasticsearch nothing is lost, and the run does not count as done."""
        rule = ConsecutiveFailures(make_rule(starttime=START - timedelta(seconds=1)))
        rule.history = FixedHistory([], failures=2)
        with self.assertLogs("ddcolor_alerts.consecutive", "WARNING"):
            rule.add_data(events("FFF"))
        with self.assertRaises(EAException):
            rule.garbage_collect(START)
        assert rule.matches == []
        rule.garbage_collect(START)
        assert [match["finding"]["count"] for match in rule.matches] == [3]

    def test_wrong_options_are_said(self) -> None:
        """A rule that could never fire is refused when it is loaded."""
        wrong: list[dict[str, Any]] = [
            {"threshold": 1},
            {"threshold": "3"},
            {"failure": {}},
            {"success": "S"},
        ]
        for changes in wrong:
            with self.subTest(changes), self.assertRaises(EAException):
                ConsecutiveFailures(make_rule(**changes))


if __name__ == "__main__":
    unittest.main()
