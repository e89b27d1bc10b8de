"""Rule type: a service that gave signs of life gives none any more, and had not said good-bye.

ElastAlert2's ``flatline`` does not know a service that fell silent while ElastAlert2 was away,
takes a service that was stopped for a silent one, and all services for silent when the collectors
or Elasticsearch stood still. Here

- the last sign of each service is read from Elasticsearch at the start,
- a record that says the service was stopped ends the watch until its next sign,
- a service is silent only if records of others, which came the same way, are newer than its last
  sign by more than ``silent_after``: what stands still altogether proves nothing. (The notifier
  notices that, by the heartbeats which it misses.)

.. code-block:: yaml

    type: ddcolor_alerts.silence.SilentService
    query_key: resource.attributes.service.name
    sign_of_life: {attributes.event.name: comfyui.service.heartbeat}
    good_bye: {attributes.event.name: comfyui.service.stopped}
    silent_after: {seconds: 90}
    remember: {hours: 24}                           # a service that is silent for longer is gone

Every other record that the filter lets through only shows how late it is. The match is the last
sign of life, so its alert has one id however often it is found.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from elastalert.elastalert import ElasticsearchException
from elastalert.ruletypes import RuleType
from elastalert.util import EAException, dt_to_ts, elasticsearch_client, hashable, lookup_es_key

from ddcolor_alerts.alert import FINDING, rfc3339, to_moment
from ddcolor_alerts.matching import Event, FieldMatcher, place_of, value_of

_LOG = logging.getLogger("ddcolor_alerts.silence")

# A backlog arrives in any order: a silence has to last for so long before it is said.
_SETTLE = timedelta(seconds=10)
_MOST_SERVICES = 1000


@dataclass(slots=True)
class Sign:
    """The last sign of life of a service: when it was given and when it arrived (s), its record."""

    at: float
    came: float
    event: Event
    said: bool = False
    silent_since: datetime | None = None


class History(Protocol):
    """Reads what happened before a moment."""

    def last_before(self, moment: datetime) -> Iterable[Event]:
        """Yield the last sign of life or good-bye of each service up to ``moment``."""


class ElasticsearchHistory:
    """The documents that the rule's own filter lets through."""

    def __init__(self, rule: Mapping[str, Any], signs: list[FieldMatcher], remember: timedelta):
        self._rule = rule
        self._signs = {"bool": {"should": [sign.query() for sign in signs]}}
        self._remember = remember

    def last_before(self, moment: datetime) -> Iterable[Event]:
        """Yield documents; raises ElasticsearchException."""
        between = {"gt": dt_to_ts(moment - self._remember), "lte": dt_to_ts(moment)}
        must = [
            *(part.get("query", part) for part in self._rule["filter"]),
            {"range": {self._rule["timestamp_field"]: between}},
            self._signs,
        ]
        newest = {"top_hits": {"size": 1, "sort": [{"@timestamp": {"order": "desc"}}]}}
        services = {"field": self._rule["query_key"], "size": _MOST_SERVICES}
        answer = elasticsearch_client(self._rule).search(
            index=self._rule["index"],
            body={
                "size": 0,
                # ElastAlert2's client looks into every query, and expects its own shape.
                "query": {"bool": {"filter": {"bool": {"must": must}}}},
                "aggs": {"services": {"terms": services, "aggs": {"newest": newest}}},
            },
            ignore_unavailable=True,
        )
        buckets = answer.get("aggregations", {}).get("services", {}).get("buckets", [])
        for bucket in buckets:
            yield bucket["newest"]["hits"]["hits"][0]["_source"]


class SilentService(RuleType):  # type: ignore[misc]  # ElastAlert2 has no types
    """Matches once for each silence; see the module's text."""

    required_options = frozenset({"query_key", "sign_of_life", "good_bye", "silent_after"})

    def __init__(self, rules: dict[str, Any], args: object = None) -> None:
        super().__init__(rules, args)
        self._alive = FieldMatcher(rules["sign_of_life"], "sign_of_life")
        self._bye = FieldMatcher(rules["good_bye"], "good_bye")
        self._silent_after = _length(rules, "silent_after", {})
        self._remember = _length(rules, "remember", {"hours": 24})
        self._signs: dict[str, Sign] = {}
        self._byes: dict[str, float] = {}
        self._newest = 0.0
        self._clock_is_true = False
        history = ElasticsearchHistory(rules, [self._alive, self._bye], self._remember)
        self.history: History | None = history

    def add_data(self, data: list[dict[str, Any]]) -> None:
        """Take new documents, in any order."""
        for event in data:
            self._take(event, lookup_es_key(event, self.rules["timestamp_field"]).timestamp())

    def garbage_collect(self, timestamp: datetime) -> None:
        """Look who is silent; raises EAException, so that this run does not count as done."""
        if self.history is not None:
            self._read_history(self.history)
        now = timestamp.timestamp()
        newest = now if self._clock_is_true else min(self._newest, now)
        for key, sign in list(self._signs.items()):
            silent_s = self._silent_after.total_seconds()
            if newest - sign.at <= silent_s or now - sign.came <= silent_s:
                sign.silent_since = None
            elif sign.silent_since is None:
                sign.silent_since = timestamp
            elif not sign.said and timestamp - sign.silent_since >= _SETTLE:
                sign.said = True
                self._say(sign)
            if now - sign.came > self._remember.total_seconds():
                del self._signs[key]

    def get_match_str(self, match: Event) -> str:
        """Return one sentence for ElastAlert2's own texts."""
        return f"no sign of life for {match[FINDING]['value']} s\n"

    def dump(self) -> dict[str, Any]:
        """Return what is known of all services, as JSON holds it."""
        signs = {
            key: {"at": sign.at, "came": sign.came, "said": sign.said, "event": _plain(sign.event)}
            for key, sign in self._signs.items()
        }
        return {"signs": signs, "byes": self._byes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what :meth:`dump` has said.

        Documents come directly from now on, so it is as late as the clock says.
        """
        self.history = None
        self._clock_is_true = True
        self._signs = {key: Sign(**known) for key, known in state.get("signs", {}).items()}
        self._byes = dict(state.get("byes", {}))

    def _take(self, event: Event, came: float) -> None:
        at, _ = place_of(event)
        self._newest = max(self._newest, at)
        key = str(hashable(value_of(event, self.rules["query_key"])))
        last = self._signs.get(key)
        if self._bye(event):
            self._byes[key] = max(at, self._byes.get(key, 0.0))
            if last is not None and last.at <= at:
                del self._signs[key]
        elif self._alive(event) and at > self._byes.get(key, 0.0):
            if last is None or at > last.at:
                self._signs[key] = Sign(at, came, event)
            else:
                # Old ones still arrive: newer ones may be on their way.
                last.came = max(last.came, came)

    def _read_history(self, history: History) -> None:
        # Everything up to the start of the first query is history; what is after it came already.
        start: datetime = self.rules.get("starttime") or datetime.now(UTC)
        try:
            for event in history.last_before(start):
                came = to_moment(lookup_es_key(event, self.rules["timestamp_field"])) or start
                self._take(event, came.timestamp())
        except ElasticsearchException as error:
            raise EAException(f"the history cannot be read: {error}") from error
        self.history = None

    def _say(self, sign: Sign) -> None:
        silent_s = self._silent_after.total_seconds()
        # The moment at which it counts as silent: the same, whenever that is found out.
        moment = datetime.fromtimestamp(sign.at + silent_s, UTC)
        finding = {"count": 1, "value": silent_s}
        self.add_match({**sign.event, "@timestamp": rfc3339(moment), FINDING: finding})


def _length(rules: Mapping[str, Any], option: str, default: dict[str, Any]) -> timedelta:
    spec = rules.get(option, default)
    try:
        length = timedelta(**spec)
    except TypeError:
        length = timedelta(0)
    if length <= timedelta(0):
        raise EAException(f"{option}: {spec!r} is no length of time: write for example minutes: 2")
    return length


def _plain(event: Event) -> dict[str, Any]:
    """Return the record as JSON holds it; ElastAlert2 has put a time in."""
    return {
        name: rfc3339(value)
        if isinstance(value, datetime)
        else _plain(value)
        if isinstance(value, Mapping)
        else value
        for name, value in event.items()
    }
