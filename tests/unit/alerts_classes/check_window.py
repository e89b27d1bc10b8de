"""WindowThreshold, on made-up records.

Run in ElastAlert2's environment by tests/integration/test_elastalert_rules.py.
"""

# ruff: noqa: PT027, S311  # pytest is not installed there; chance is for variety, not for secrets

from __future__ import annotations

import math
import random
import unittest
from datetime import UTC, datetime, timedelta
from typing import Any

from elastalert.util import EAException

from ddcolor_alerts.matching import FieldMatcher
from ddcolor_alerts.window import Measure, WindowThreshold

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SPAN = timedelta(seconds=60)


def make_rule(**changes: Any) -> dict[str, Any]:
    """Return a rule on the p90 of a minute."""
    return {
        "name": "window",
        "timestamp_field": "event.ingested",
        "timeframe": SPAN,
        "query_key": "service",
        "measure": {"percentile": 90, "of": "seconds"},
        "above": 10,
        "min_count": 5,
        **changes,
    }


def event(second: float, value: object, *, arrived: float | None = None) -> dict[str, Any]:
    """Return one record; ``arrived`` is when Elasticsearch took it."""
    happened = START + timedelta(seconds=second)
    came = happened if arrived is None else START + timedelta(seconds=arrived)
    return {
        "seconds": value,
        "service": "a",
        "@timestamp": happened.isoformat(),
        "_id": f"uid-{second}",
        "event": {"ingested": came},
    }


def plain_p90(values: list[float]) -> float:
    """Return the value that nine of ten do not exceed, by the definition."""
    return next(v for v in sorted(values) if sum(x <= v for x in values) >= 0.9 * len(values))


class MeasureTest(unittest.TestCase):
    """What is measured."""

    def test_percentile_is_a_value_that_occurred(self) -> None:
        """The smallest value that the given part of the records does not exceed."""
        random.seed(3)
        for _ in range(200):
            values = [random.uniform(0, 20) for _ in range(random.randrange(1, 40))]
            measured = Measure({"percentile": 90, "of": "x"}).of(values).value
            assert math.isclose(measured, plain_p90(values))

    def test_share_and_lowest(self) -> None:
        """A share is a part of one, and its count is the number of faults."""
        share = Measure({"share": {"outcome": ["failed", "lost"]}})
        assert [share.value({"outcome": o}) for o in ("failed", "lost", "ok", None)] == [1, 1, 0, 0]
        finding = share.of([1, 0, 0, 1])
        assert (finding.count, finding.value, finding.samples) == (2, 0.5, 4)
        assert Measure({"lowest": "x"}).of([3, 2.5, 9]).value == 2.5

    def test_what_cannot_be_measured_is_refused(self) -> None:
        """A mistake is said when the rule is loaded."""
        wrong: list[object] = [
            None,
            {},
            {"mean": "x"},
            {"percentile": 90},
            {"percentile": "p90", "of": "x"},
            {"percentile": 0, "of": "x"},
            {"percentile": 101, "of": "x"},
            {"share": "failed"},
        ]
        for spec in wrong:
            with self.subTest(spec), self.assertRaisesRegex(EAException, "measure"):
                Measure(spec)
        for changes in ({"above": "10"}, {"above": True}, {"min_count": 0}, {"min_count": 2.5}):
            with self.subTest(changes), self.assertRaises(EAException):
                WindowThreshold(make_rule(**changes))


class WindowTest(unittest.TestCase):
    """Where it fires."""

    def test_is_the_plain_definition_in_any_batches(self) -> None:
        """It fires at a record above the limit if the minute before it is above the limit."""
        random.seed(5)
        for _ in range(100):
            values = [random.choice([1.0, 9.0, 11.0, 30.0]) for _ in range(60)]
            events = [event(second * 3, value) for second, value in enumerate(values)]
            expected = []
            for number, value in enumerate(values):
                span = values[max(0, number - 19) : number + 1]
                if value > 10 and len(span) >= 5 and plain_p90(span) > 10:
                    expected.append(f"uid-{number * 3}")
            rule, left = WindowThreshold(make_rule()), list(events)
            while left:
                size = random.randint(1, len(left))
                rule.add_data(random.sample(left[:size], size))
                rule.garbage_collect(left[size - 1]["event"]["ingested"])
                left = left[size:]
            assert [match["_id"] for match in rule.matches] == expected

    def test_a_record_twice_counts_once(self) -> None:
        """ElastAlert2 reads the last minutes again after a restart of the connection."""
        rule = WindowThreshold(make_rule())
        for _ in range(9):
            rule.add_data([event(second, 30) for second in range(4)])
        assert rule.matches == []

    def test_a_late_record_counts_in_its_own_span(self) -> None:
        """A backlog fills the spans in which it happened, beside those of today."""
        rule = WindowThreshold(make_rule())
        rule.add_data([event(3600 + second, 30) for second in range(4)])
        rule.add_data([event(second, 30, arrived=3605) for second in range(5)])
        (match,) = rule.matches
        assert match["_id"] == "uid-4"
        assert match["finding"] == {"count": 1, "value": 30, "samples": 5}

    def test_what_has_no_value_is_left_out(self) -> None:
        """A text, a truth value or nothing is no number."""
        rule = WindowThreshold(make_rule(min_count=1))
        rule.add_data([event(1, None), event(2, "30"), event(3, True)])
        assert rule.matches == []

    def test_forgets_what_is_older_than_the_span(self) -> None:
        """Memory does not grow with the days."""
        rule = WindowThreshold(make_rule())
        for minute in range(100):
            rule.add_data([event(60 * minute + second, 1) for second in range(50)])
            rule.garbage_collect(START + timedelta(minutes=minute, seconds=50))
        assert sum(map(len, rule._samples.values())) <= 150
        assert len(rule._arrived) <= 150


class FieldMatcherTest(unittest.TestCase):
    """What an option such as ``share`` says of a record, here and as a query."""

    def test_values_are_compared_as_elasticsearch_compares_them(self) -> None:
        """Booleans and numbers keep their type: as texts Elasticsearch refuses or misses them."""
        matcher = FieldMatcher({"attributes.a": True, "attributes.b": [2, "x"]}, "share")
        assert matcher({"attributes": {"a": True, "b": 2.0}})
        assert not matcher({"attributes": {"a": False, "b": 2}})
        terms = [{"terms": {"attributes.a": [True]}}, {"terms": {"attributes.b": [2, "x"]}}]
        assert matcher.query() == {"bool": {"filter": terms}}


if __name__ == "__main__":
    unittest.main()
