"""Rule type: N failures in a row of one key, with no success between them.

ElastAlert2's ``frequency`` cannot tell F F S F F F from F F F, and forgets what it has counted when
it restarts. Here a streak's length is a property of the documents: when a key is met for the first
time in this process, the failures since its last success are read from Elasticsearch, so a restart
in the middle of a streak neither loses it nor counts it twice.

.. code-block:: yaml

    type: ddcolor_alerts.consecutive.ConsecutiveFailures
    threshold: 3                                    # fires at the 3rd, 6th, 9th ... in a row
    query_key: resource.attributes.service.name     # a streak of its own for each value
    failure: {attributes.comfyui.prompt.outcome: failed}
    success: {attributes.comfyui.prompt.outcome: success}

A document that is neither, or that the rule's filter does not let through, neither lengthens nor
ends a streak.

The order is that in which things happened (``@timestamp``), not that in which they arrived: the
collectors send a backlog by several ways at once. A success that arrives late ends the streak at
its place, and what happened after it counts on.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

# The client's exceptions as ElastAlert2's pinned version of it has them.
from elastalert.elastalert import ElasticsearchException
from elastalert.ruletypes import RuleType
from elastalert.util import EAException, dt_to_ts, elasticsearch_client, hashable, lookup_es_key

from ddcolor_alerts.alert import FINDING, RECORD_UID, to_moment

_LOG = logging.getLogger("ddcolor_alerts.consecutive")

_PAGE = 100

# A streak of more failures is known by its length; nothing arrives that late.
_KNOWN_ONE_BY_ONE = 1000

Event = Mapping[str, Any]


class FieldMatcher:
    """Field names with the value, or the list of values, that each must have."""

    def __init__(self, spec: object, option: str) -> None:
        if not isinstance(spec, dict) or not spec:
            raise EAException(f"{option}: give one or more fields with their values")
        self._wanted = {
            str(field): [str(item) for item in (values if isinstance(values, list) else [values])]
            for field, values in spec.items()
        }

    def __call__(self, event: Event) -> bool:
        """Return whether ``event`` has one of the wanted values in every field."""
        return all(
            str(lookup_es_key(event, field)) in values for field, values in self._wanted.items()
        )

    def query(self) -> dict[str, Any]:
        """Return the same condition as an Elasticsearch query."""
        terms = [{"terms": {field: values}} for field, values in self._wanted.items()]
        return {"bool": {"filter": terms}}


class History(Protocol):
    """Reads what happened before a moment."""

    def outcomes_before(self, key: str, moment: datetime) -> Iterator[Event]:
        """Yield failures and successes of ``key`` up to ``moment``, the newest first."""


class ElasticsearchHistory:
    """The documents that the rule's own filter lets through, page by page."""

    def __init__(self, rule: Mapping[str, Any], failure: FieldMatcher, success: FieldMatcher):
        self._rule = rule
        self._outcomes = {"bool": {"should": [failure.query(), success.query()]}}
        self._client: Any = None

    def outcomes_before(self, key: str, moment: datetime) -> Iterator[Event]:
        """Yield documents, the newest first; raises ElasticsearchException."""
        if self._client is None:
            self._client = elasticsearch_client(self._rule)
        time_field = self._rule["timestamp_field"]
        must = [
            *(part.get("query", part) for part in self._rule["filter"]),
            {"term": {self._rule["query_key"]: key}},
            {"range": {time_field: {"lte": dt_to_ts(moment)}}},
            self._outcomes,
        ]
        body: dict[str, Any] = {
            "size": _PAGE,
            # ElastAlert2's client looks into every query, and expects its own shape.
            "query": {"bool": {"filter": {"bool": {"must": must}}}},
            "sort": [
                {"@timestamp": {"order": "desc"}},
                {RECORD_UID: {"order": "desc", "unmapped_type": "keyword"}},
            ],
        }
        while True:
            found = self._client.search(
                index=self._rule["index"], body=body, ignore_unavailable=True
            )["hits"]["hits"]
            yield from (hit["_source"] for hit in found)
            if len(found) < _PAGE:
                return
            body["search_after"] = found[-1]["sort"]


# Where an event stands in the order in which things happened: seconds since the epoch, and its uid.
Place = tuple[float, str]


@dataclass(slots=True)
class Streak:
    """The failures of one key since its last success; ``more`` came before the listed ones."""

    failures: list[Place] = field(default_factory=list)
    more: int = 0
    success: Place = (0.0, "")

    def fail(self, place: Place) -> int:
        """Add a failure; return the streak's length, or 0 if it belongs to one that is over."""
        index = bisect_left(self.failures, place)
        if place <= self.success or self.failures[index : index + 1] == [place]:
            return 0
        self.failures.insert(index, place)
        if len(self.failures) > 2 * _KNOWN_ONE_BY_ONE:
            del self.failures[:_KNOWN_ONE_BY_ONE]
            self.more += _KNOWN_ONE_BY_ONE
        return self.more + len(self.failures)

    def succeed(self, place: Place) -> None:
        """End the streak at a moment; failures after it are a new one."""
        if place > self.success:
            self.success, self.more = place, 0
            self.failures = [failure for failure in self.failures if failure > place]


class ConsecutiveFailures(RuleType):  # type: ignore[misc]  # ElastAlert2 has no types
    """Matches at every ``threshold``-th failure in a row; see the module's text."""

    required_options = frozenset({"failure", "success", "threshold", "query_key"})

    def __init__(self, rules: dict[str, Any], args: object = None) -> None:
        super().__init__(rules, args)
        self._threshold = rules["threshold"]
        if not isinstance(self._threshold, int) or self._threshold < 2:
            raise EAException(f"threshold: {self._threshold!r} is not a whole number above 1")
        self._failure = FieldMatcher(rules["failure"], "failure")
        self._success = FieldMatcher(rules["success"], "success")
        self._streaks: dict[str, Streak] = {}
        self._waiting: list[tuple[Event, datetime]] = []
        self.history: History | None = ElasticsearchHistory(rules, self._failure, self._success)

    def add_data(self, data: list[dict[str, Any]]) -> None:
        """Take new documents, the oldest first."""
        # Everything up to the start of this query is history; what is after it comes here.
        start = self.rules.get("starttime") or _time_of(self.rules, data[0])
        self._waiting.extend((event, start) for event in _in_order(data))
        try:
            self._work()
        except ElasticsearchException as error:
            # ElastAlert2 has ticked these documents off already, so they wait here.
            _LOG.warning("Rule %s waits for its history: %s", self.rules["name"], error)

    def garbage_collect(self, timestamp: datetime) -> None:
        """Finish what waited; raises EAException, so that this run does not count as done."""
        del timestamp
        try:
            self._work()
        except ElasticsearchException as error:
            raise EAException(f"the history cannot be read: {error}") from error

    def get_match_str(self, match: Event) -> str:
        """Return one sentence for ElastAlert2's own texts."""
        return f"{match[FINDING]['count']} failures in a row\n"

    def dump(self) -> dict[str, Any]:
        """Return all streaks, as JSON holds them."""
        return {
            key: {"failures": streak.failures, "more": streak.more, "success": streak.success}
            for key, streak in self._streaks.items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what :meth:`dump` has said: there is no other history from now on."""
        self.history = None
        for key, known in state.items():
            failures = [(at, uid) for at, uid in known["failures"]]
            at, uid = known["success"]
            self._streaks[key] = Streak(failures, known["more"], (at, uid))

    def _work(self) -> None:
        while self._waiting:
            event, start = self._waiting[0]
            if self._failure(event) or self._success(event):
                key = str(hashable(lookup_es_key(event, self.rules["query_key"])))
                if key not in self._streaks:
                    self._streaks[key] = self._before(key, start)
                self._count(self._streaks[key], event)
            self._waiting.pop(0)

    def _count(self, streak: Streak, event: Event) -> None:
        if self._success(event):
            streak.succeed(_place(event))
            return
        length = streak.fail(_place(event))
        if length and length % self._threshold == 0:
            self.add_match({**event, FINDING: {"count": length}})

    def _before(self, key: str, moment: datetime) -> Streak:
        streak = Streak()
        for event in self.history.outcomes_before(key, moment) if self.history else ():
            if self._success(event):
                streak.succeed(_place(event))
                break
            if self._failure(event):
                streak.fail(_place(event))
        return streak


def _place(event: Event) -> Place:
    moment = to_moment(lookup_es_key(event, "@timestamp"))
    return moment.timestamp() if moment else 0.0, str(lookup_es_key(event, RECORD_UID))


def _in_order(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(data, key=_place)


def _time_of(rules: Mapping[str, Any], event: Event) -> datetime:
    moment: datetime = lookup_es_key(event, rules["timestamp_field"])
    return moment
