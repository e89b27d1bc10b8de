"""Runs one rule on documents as they come, without Elasticsearch: ElastAlert2's own rule types.

The rule's filter is evaluated on each document; what it lets through goes through ElastAlert2's
loader, rule type and enhancements as in a real run, and out come the alerts that the alerter would
send. What the rule remembers lies in a :class:`.store.Store`, so a new object on the same store
goes on where the last one was.

A rule type that can say what it knows (``dump`` and ``restore``) is kept as that; of any other the
documents of its timeframe are kept and fed again.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Protocol, runtime_checkable

from elastalert.elastalert import ElastAlerter
from elastalert.ruletypes import BaseAggregationRule, NewTermsRule
from elastalert.util import EAException, lookup_es_key

from ddcolor_alerts.alert import build_alert, to_moment
from ddcolor_alerts.fields import Fields
from ddcolor_alerts.heartbeat import HeartbeatAlerter
from ddcolor_alerts.query import read_filter
from ddcolor_alerts.store import Store
from ddcolor_alerts.values import QueryError

Document = dict[str, Any]
Rule = dict[str, Any]


@runtime_checkable
class Remembers(Protocol):
    """A rule type that can say what it knows."""

    def dump(self) -> dict[str, Any]:
        """Return what it knows, as JSON holds it."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what :meth:`dump` has said, and ask no Elasticsearch from now on."""


@dataclass(slots=True)
class Found:
    """What rules have for the notifier, in the order in which it was raised; and their errors."""

    alerts: list[dict[str, Any]] = field(default_factory=list)
    heartbeats: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __iadd__(self, other: Found) -> Found:
        self.alerts += other.alerts
        self.heartbeats += other.heartbeats
        self.problems += other.problems
        return self


class RuleRun:
    """One loaded rule on its memory. Raises EAException for a rule that needs Elasticsearch."""

    def __init__(self, rule: Rule, store: Store, now: datetime) -> None:
        self.rule = rule
        self.name: str = rule["name"]
        self._type = rule["type"]
        self._store = store
        self._timeframe: timedelta = rule.get("timeframe") or timedelta(0)
        self._remembers = isinstance(self._type, Remembers)
        self._kind = f"{type(self._type).__module__}.{type(self._type).__name__}"
        self._changed = False
        if isinstance(self._type, BaseAggregationRule | NewTermsRule):
            raise EAException(
                f"{self.name}: type: {type(self._type).__name__} lets Elasticsearch do the work and"
                " cannot run without it: use ddcolor_alerts.window.WindowThreshold"
            )
        try:
            self._passes = read_filter(rule["filter"])
        except QueryError as error:
            raise EAException(f"{self.name}: filter: {error}") from error
        rule["starttime"] = now
        # ElastAlert2's own reader guesses the format of every time.
        rule["ts_to_dt"] = to_moment
        if self._remembers:
            known = store.state(self.name)
            # What a rule of this name knew as another type is of no use to this one.
            self._type.restore(known["knows"] if known.get("type") == self._kind else {})
        else:
            self._feed_again(now)

    def reads(self, index: str) -> bool:
        """Return whether the rule looks at documents of ``index``."""
        patterns = str(self.rule["index"]).split(",")
        return any(fnmatch.fnmatchcase(index, pattern.strip()) for pattern in patterns)

    def take(self, documents: Sequence[tuple[Document, Fields]], now: datetime) -> Found:
        """Take documents that came together; no document of the same ``_id`` came before."""
        passed = [document for document, fields in documents if self._passes(fields)]
        if not passed:
            return Found()
        if self._remembers:
            self._changed = True
        elif self._timeframe:
            self._store.keep(self.name, now.timestamp(), passed)
        self._add(passed)
        return self._harvest(now)

    def tick(self, now: datetime) -> Found:
        """Let the time be ``now``."""
        self._type.garbage_collect(now)
        return self._harvest(now)

    def save(self, now: datetime) -> None:
        """Put into the store what is not there yet; the store's commit makes it durable."""
        if self._changed:
            state = {"type": self._kind, "knows": self._type.dump()}
            self._store.set_state(self.name, state)
            self._changed = False
        if self._timeframe and not self._remembers:
            self._store.forget_documents(self.name, (now - self._timeframe).timestamp())

    def _add(self, documents: list[Document]) -> None:
        # ElastAlert2 changes what it is given; this is a quick copy of what came as JSON.
        copies = json.loads(json.dumps(documents))
        hits = [{"_id": document["_id"], "_source": document} for document in copies]
        self._type.add_data(ElastAlerter.process_hits(self.rule, hits))

    def _feed_again(self, now: datetime) -> None:
        """Fill the window with what came before. What was to say of it, the last process said."""
        since = (now - self._timeframe).timestamp()
        for at, group in groupby(self._store.kept(self.name, since), key=lambda pair: pair[0]):
            self._add([document for _, document in group])
            self._type.garbage_collect(datetime.fromtimestamp(at, UTC))
        self._type.matches.clear()

    def _harvest(self, now: datetime) -> Found:
        found = Found()
        while self._type.matches:
            self._changed = self._remembers
            match = self._type.matches.pop(0)
            if self._is_silenced(match, now):
                continue
            for enhancement in self.rule["match_enhancements"]:
                enhancement.process(match)
            if any(isinstance(alerter, HeartbeatAlerter) for alerter in self.rule["alert"]):
                found.heartbeats.append(HeartbeatAlerter.message(self.rule, match))
                continue
            alert = build_alert(self.rule, match)
            if self._store.add_alert(alert, now.timestamp()):
                found.alerts.append(alert)
        return found

    def _is_silenced(self, match: Mapping[str, Any], now: datetime) -> bool:
        """Apply ``realert``, which ElastAlert2 keeps in Elasticsearch across restarts."""
        key = str(lookup_es_key(match, self.rule.get("query_key") or "_"))
        if self._store.is_silenced(self.name, key, now.timestamp()):
            return True
        if self.rule["realert"]:
            self._store.silence(self.name, key, (now + self.rule["realert"]).timestamp())
        return False
