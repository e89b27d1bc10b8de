"""SilentService, on made-up signs of life.

Run in ElastAlert2's environment by tests/integration/test_elastalert_rules.py.
"""

# ruff: noqa: PT027  # pytest is not installed there

from __future__ import annotations

import json
import unittest
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from elastalert.elastalert import ElasticsearchException
from elastalert.util import EAException

from ddcolor_alerts.silence import SilentService

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def make_rule(**changes: Any) -> dict[str, Any]:
    """Return a rule on a silence of a minute."""
    return {
        "name": "silent",
        "timestamp_field": "event.ingested",
        "query_key": "service",
        "filter": [],
        "sign_of_life": {"kind": "beat"},
        "good_bye": {"kind": "bye"},
        "silent_after": {"seconds": 60},
        "starttime": START,
        **changes,
    }


def event(second: float, kind: str = "beat", service: str = "a", **more: Any) -> dict[str, Any]:
    """Return one record, which arrives as it happens."""
    moment = START + timedelta(seconds=second)
    return {
        "kind": kind,
        "service": service,
        "@timestamp": moment.isoformat(),
        "_id": f"{service}-{second}",
        "event": {"ingested": moment},
        **more,
    }


class FixedHistory:
    """A history that holds these events, or fails."""

    def __init__(self, before: Iterable[dict[str, Any]] = (), failures: int = 0) -> None:
        self.before = before
        self.failures = failures

    def last_before(self, moment: datetime) -> Iterable[dict[str, Any]]:
        """Yield them."""
        if self.failures:
            self.failures -= 1
            raise ElasticsearchException("away")
        return [event for event in self.before if event["event"]["ingested"] <= moment]


def make(history: FixedHistory | None = None, **changes: Any) -> SilentService:
    """Return a rule type that reads this history."""
    rule = SilentService(make_rule(**changes))
    rule.history = history or FixedHistory()
    return rule


def said(rule: SilentService, second: float) -> list[str]:
    """Let the time be ``second``; return the services that are called silent now."""
    rule.garbage_collect(START + timedelta(seconds=second))
    found = [match["service"] for match in rule.matches]
    rule.matches.clear()
    return found


class SilenceTest(unittest.TestCase):
    """Who is called silent."""

    def test_is_said_once_after_it_has_lasted(self) -> None:
        """A minute of silence, ten seconds more, and never again until another sign."""
        rule = make()
        rule.add_data([event(0), *(event(second, "clock", "x") for second in range(0, 300, 5))])
        found = {second: said(rule, second) for second in range(0, 300, 5)}
        assert [second for second, services in found.items() if services] == [75]
        rule.add_data([event(301), event(400, "clock", "x")])
        assert said(rule, 302) == []
        assert [said(rule, second) for second in (395, 400, 405, 410)] == [[], [], ["a"], []]

    def test_nobody_is_silent_while_nothing_arrives(self) -> None:
        """However late it is, without newer records of others nothing is proven."""
        rule = make()
        rule.add_data([event(0), event(0, service="b")])
        assert [said(rule, second) for second in (100, 1000, 5000)] == [[], [], []]

    def test_a_backlog_does_not_make_a_service_silent(self) -> None:
        """Records of others come first, then its own old signs: it waits for the newer ones."""
        rule = make()
        rule.add_data([event(0), event(3600, "clock", "x")])
        late: dict[str, Any] = {"event": {"ingested": START + timedelta(seconds=3605)}}
        assert said(rule, 3600) == []
        rule.add_data([event(second, **late) for second in range(30, 3000, 30)])
        assert [said(rule, second) for second in (3615, 3630, 3660)] == [[], [], []]
        rule.add_data([event(3590, event={"ingested": START + timedelta(seconds=3661)})])
        assert [said(rule, second) for second in (3665, 3700)] == [[], []]

    def test_the_match_is_the_last_sign_at_the_moment_of_silence(self) -> None:
        """The same record and the same time, whenever and by whomever it is found."""
        rule = make()
        rule.add_data([event(0), event(200, "clock", "x")])
        for second in (150, 199):
            rule.garbage_collect(START + timedelta(seconds=second))
        (match,) = rule.matches
        assert (match["_id"], match["@timestamp"]) == ("a-0", "2026-01-05T08:01:00.000000Z")
        assert match["finding"] == {"count": 1, "value": 60.0}

    def test_a_process_that_begins_reads_who_was_alive(self) -> None:
        """Of the history a sign counts and a good-bye does not; the others are unknown."""
        before = [event(-50), event(-40, "bye", "b")]
        rule = make(FixedHistory(before))
        rule.add_data([event(100, "clock", "x")])
        assert [said(rule, second) for second in (60, 75)] == [[], ["a"]]

    def test_waits_for_its_history(self) -> None:
        """Without Elasticsearch the run does not count as done, and nothing is missed."""
        rule = make(FixedHistory([event(-50)], failures=1))
        rule.add_data([event(100, "clock", "x")])
        with self.assertRaises(EAException):
            said(rule, 60)
        assert [said(rule, second) for second in (61, 75)] == [[], ["a"]]

    def test_is_forgotten_after_a_day(self) -> None:
        """A service that was taken away is not held in memory for ever."""
        rule = make(remember={"minutes": 10})
        rule.add_data([event(0), event(700, "clock", "x")])
        said(rule, 500)
        assert said(rule, 515) == ["a"]
        assert said(rule, 601) == []
        assert rule.dump()["signs"] == {}

    def test_goes_on_from_what_it_dumped(self) -> None:
        """As JSON and back, what was said stays said; then the clock alone says how late it is."""
        first = make()
        first.restore({})
        first.add_data([event(0), event(0, service="b"), event(10, "bye", "c")])
        second = make()
        second.restore(json.loads(json.dumps(first.dump())))
        assert [said(second, moment) for moment in (61, 75, 90)] == [[], ["a", "b"], []]
        third = make()
        third.restore(json.loads(json.dumps(second.dump())))
        third.add_data([event(9, service="c")])
        assert [said(third, moment) for moment in (100, 115, 200)] == [[], [], []]

    def test_wrong_options_are_said(self) -> None:
        """A rule that could never fire is refused when it is loaded."""
        wrong: list[dict[str, Any]] = [
            {"silent_after": 60},
            {"silent_after": {"seconds": 0}},
            {"silent_after": {"secs": 3}},
            {"remember": {"hours": -1}},
            {"sign_of_life": {}},
            {"good_bye": "bye"},
        ]
        for changes in wrong:
            with self.subTest(changes), self.assertRaises(EAException):
                SilentService(make_rule(**changes))


if __name__ == "__main__":
    unittest.main()
