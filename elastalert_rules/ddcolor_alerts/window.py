"""Rule type: something measured over the records of a span of time lies above a limit.

ElastAlert2 lets Elasticsearch aggregate for this (``metric_aggregation``, ``percentage_match``): it
measures what arrived in the last minutes, so a backlog of an hour is one measurement, and it cannot
run without Elasticsearch. Here the span ends at each record's own time (``@timestamp``), and the
records are all that is needed.

.. code-block:: yaml

    type: ddcolor_alerts.window.WindowThreshold
    timeframe: {minutes: 10}                        # how long the span is
    query_key: [resource.attributes.service.name]   # measured for each value apart
    measure: {percentile: 95, of: attributes.comfyui.node.duration_s}
    above: 20                                       # fires when what is measured is more than this
    min_count: 20                                   # but not on fewer records than these
    scan_entire_timeframe: true                     # reads the span again after a restart

``measure`` is one of

===================================== =====================================================
``{percentile: P, of: FIELD}``         the value that P percent of the records do not exceed
``{lowest: FIELD}``                    the lowest value: all of the span are above the limit
``{share: {FIELD: VALUE}}``            the part, 0 to 1, of the records that have the value
===================================== =====================================================

It fires at a record that is itself above the limit (of a share: that has the value), as often as
there are such records: ``realert`` says how long it then keeps still.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from elastalert.ruletypes import RuleType
from elastalert.util import EAException, hashable, lookup_es_key

from ddcolor_alerts.alert import FINDING
from ddcolor_alerts.matching import FieldMatcher, place_of, value_of

_SHARE, _PERCENTILE, _LOWEST = "share", "percentile", "lowest"
_FORMS = f"{{{_PERCENTILE}: 95, of: FIELD}}, {{{_LOWEST}: FIELD}} or {{{_SHARE}: {{FIELD: VALUE}}}}"


class Sample(NamedTuple):
    """One record of a span: when it happened (s since the epoch), its uid, and its value."""

    at: float
    uid: str
    value: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured: ``count`` is how often the fault occurred, for the reader."""

    count: int
    value: float
    samples: int


class Measure:
    """The option ``measure``; raises EAException if it is not one of the known forms."""

    def __init__(self, spec: object) -> None:
        known = spec if isinstance(spec, dict) else {}
        self._percent: float | None = None
        self._matcher: FieldMatcher | None = None
        self.field = ""
        if set(known) == {_PERCENTILE, "of"} and _is_number(known[_PERCENTILE]):
            self._percent, self.field = known[_PERCENTILE], str(known["of"])
            if not 0 < known[_PERCENTILE] <= 100:
                raise EAException(f"measure: percentile: {self._percent} is not in 0 to 100")
        elif set(known) == {_LOWEST}:
            self.field = str(known[_LOWEST])
        elif set(known) == {_SHARE}:
            self._matcher = FieldMatcher(known[_SHARE], f"measure: {_SHARE}")
        else:
            raise EAException(f"measure: {spec!r} is not known: write {_FORMS}")

    def value(self, event: Mapping[str, Any]) -> float | None:
        """Return what a record adds to the measurement, or None if it does not have the field."""
        if self._matcher is not None:
            return float(self._matcher(event))
        found = value_of(event, self.field)
        return float(found) if _is_number(found) else None

    def raises(self, value: float, limit: float) -> bool:
        """Return whether a record of this value can have lifted the measurement above ``limit``."""
        return value > 0 if self._matcher is not None else value > limit

    def of(self, values: Sequence[float]) -> Finding:
        """Measure the values of a span; there is at least one."""
        if self._matcher is not None:
            count = round(sum(values))
            return Finding(count, count / len(values), len(values))
        if self._percent is None:
            return Finding(1, min(values), len(values))
        rank = max(1, math.ceil(self._percent / 100 * len(values)))
        return Finding(1, sorted(values)[rank - 1], len(values))


class WindowThreshold(RuleType):  # type: ignore[misc]  # ElastAlert2 has no types
    """Matches at records after which the measurement is above the limit; see the module's text."""

    required_options = frozenset({"timeframe", "measure", "above", "min_count", "query_key"})

    def __init__(self, rules: dict[str, Any], args: object = None) -> None:
        super().__init__(rules, args)
        self._measure = Measure(rules["measure"])
        self._above = rules["above"]
        self._min_count = rules["min_count"]
        if not _is_number(self._above):
            raise EAException(f"above: {self._above!r} is not a number")
        if not isinstance(self._min_count, int) or self._min_count < 1:
            raise EAException(f"min_count: {self._min_count!r} is not a whole number above 0")
        self._span: timedelta = rules["timeframe"]
        self._samples: defaultdict[str, list[Sample]] = defaultdict(list)
        # When a sample arrived; a late one counts in spans that are long over.
        self._arrived: dict[str, datetime] = {}
        self._pruned: datetime | None = None

    def add_data(self, data: list[dict[str, Any]]) -> None:
        """Take new documents in the order in which things happened."""
        for event in sorted(data, key=place_of):
            value = self._measure.value(event)
            at, uid = place_of(event)
            if value is None or uid in self._arrived:
                continue
            samples = self._samples[str(hashable(value_of(event, self.rules["query_key"])))]
            insort(samples, Sample(at, uid, value))
            self._arrived[uid] = lookup_es_key(event, self.rules["timestamp_field"])
            if self._measure.raises(value, self._above):
                self._look(samples, at, event)

    def garbage_collect(self, timestamp: datetime) -> None:
        """Forget, now and then, what arrived before the span."""
        if self._pruned is not None and timestamp < self._pruned + self._span / 4:
            return
        self._pruned = timestamp
        oldest = timestamp - self._span
        self._arrived = {uid: came for uid, came in self._arrived.items() if came > oldest}
        for key in list(self._samples):
            kept = [sample for sample in self._samples[key] if sample.uid in self._arrived]
            if kept:
                self._samples[key] = kept
            else:
                del self._samples[key]

    def get_match_str(self, match: Mapping[str, Any]) -> str:
        """Return one sentence for ElastAlert2's own texts."""
        return f"{match[FINDING]['value']} over {match[FINDING]['samples']} records\n"

    def _look(self, samples: list[Sample], at: float, event: dict[str, Any]) -> None:
        first = bisect_right(samples, at - self._span.total_seconds(), key=lambda one: one.at)
        last = bisect_right(samples, at, key=lambda one: one.at)
        if last - first < self._min_count:
            return
        finding = self._measure.of([sample.value for sample in samples[first:last]])
        if finding.value > self._above:
            self.add_match({**event, FINDING: asdict(finding)})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
