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
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

# The client's exceptions as ElastAlert2's pinned version of it has them.
from elastalert.elastalert import ElasticsearchException
from elastalert.ruletypes import RuleType
from elastalert.util import EAException, dt_to_ts, elasticsearch_client, hashable, lookup_es_key

from ddcolor_alerts.alert import FINDING, RECORD_UID
from ddcolor_alerts.matching import Event, FieldMatcher, place_of, value_of
from ddcolor_alerts.streaks import Streaks

_LOG = logging.getLogger("ddcolor_alerts.consecutive")

_PAGE = 100


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
        self._streaks: dict[str, Streaks] = {}
        self._waiting: list[Event] = []
        self._start = datetime.max
        self.history: History | None = ElasticsearchHistory(rules, self._failure, self._success)

    def add_data(self, data: list[dict[str, Any]]) -> None:
        """Take new documents, in any order."""
        # Everything up to the start of a query is history; what is after it comes here.
        start = self.rules.get("starttime") or _time_of(self.rules, data[0])
        if not self._waiting:
            self._start = start
        self._waiting.extend(data)
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
        return {key: streaks.dump() for key, streaks in self._streaks.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what :meth:`dump` has said: there is no other history from now on."""
        self.history = None
        self._streaks = {key: Streaks.restore(known) for key, known in state.items()}

    def _work(self) -> None:
        """Count what waits, key by key; what has no history yet goes on waiting."""
        outcomes: dict[str, list[Event]] = {}
        for event in self._waiting:
            if self._failure(event) or self._success(event):
                key = str(hashable(value_of(event, self.rules["query_key"])))
                outcomes.setdefault(key, []).append(event)
        for key in outcomes:
            if key not in self._streaks:
                self._streaks[key] = self._before(key)
        self._waiting.clear()
        for key, events in outcomes.items():
            self._count(self._streaks[key], events)

    def _count(self, streaks: Streaks, events: list[Event]) -> None:
        by_place = {place_of(event): event for event in events}
        succeeded = {place for place, event in by_place.items() if self._success(event)}
        failed = by_place.keys() - succeeded
        for place, length in streaks.add(failed, succeeded, self._threshold):
            self.add_match({**by_place[place], FINDING: {"count": length}})

    def _before(self, key: str) -> Streaks:
        failed, succeeded = [], []
        for event in self.history.outcomes_before(key, self._start) if self.history else ():
            if self._success(event):
                succeeded.append(place_of(event))
                break
            if self._failure(event):
                failed.append(place_of(event))
        streaks = Streaks()
        streaks.add(failed, succeeded, self._threshold)
        return streaks


def _time_of(rules: Mapping[str, Any], event: Event) -> datetime:
    moment: datetime = lookup_es_key(event, rules["timestamp_field"])
    return moment
