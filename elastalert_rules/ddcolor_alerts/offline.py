"""Runs rules on documents without Elasticsearch: JSON on stdin, JSON on stdout.

For rule tests. Each case names a rule file and gives the documents that its filter lets through,
with the seconds at which they are ingested. They go through ElastAlert2's loader, rule type,
enhancements and this project's alerter as in a real run, in steps of their times; a restart begins
with a new rule object and the documents that a new process would read again. Out come the alerts
that the notifier would keep: an id counts once.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any

from elastalert.elastalert import ElastAlerter
from elastalert.util import lookup_es_key

from ddcolor_alerts.alert import build_alert
from ddcolor_alerts.consecutive import ConsecutiveFailures
from ddcolor_alerts.loader import CheckedLoader
from ddcolor_alerts.runner import OVERLAP

_CONF: dict[str, Any] = {
    "es_host": "none.invalid",
    "es_port": 9200,
    "rules_folder": "",
    "run_every": timedelta(seconds=1),
    "buffer_time": timedelta(minutes=2),
}

Hit = dict[str, Any]


class RecentHistory:
    """The documents of the case that a process before this one has read."""

    def __init__(self, rule: dict[str, Any], hits: list[Hit]) -> None:
        self._rule = rule
        self._hits = hits

    def outcomes_before(self, key: str, moment: datetime) -> Iterator[Hit]:
        """Yield documents of ``key`` up to ``moment``, the newest first."""
        for source in reversed(ElastAlerter.process_hits(self._rule, _raw(self._hits))):
            if (
                str(lookup_es_key(source, self._rule["query_key"])) == key
                and lookup_es_key(source, self._rule["timestamp_field"]) <= moment
            ):
                yield source


class OfflineRule:
    """One rule over the life of several processes."""

    def __init__(self, rule_file: str, start: datetime) -> None:
        self._file = rule_file
        self._start = start
        self._hits: list[Hit] = []
        self._silenced: dict[str, float] = {}
        self._seen: set[str] = set()
        self.alerts: dict[str, dict[str, Any]] = {}
        self.rule = self._load()

    def step(self, at: float, hits: list[Hit]) -> None:
        """Run once at ``at`` seconds, with the documents that have come since the last run."""
        new = [hit for hit in hits if hit["_id"] not in self._seen]
        self._seen.update(hit["_id"] for hit in new)
        self._hits.extend(new)
        self._run(at, new)

    def restart(self, at: float) -> None:
        """Begin as a new process does: nothing in memory, a part of the documents read again."""
        self.rule = self._load()
        now = self._start + timedelta(seconds=at)
        # The last process ran until just now.
        begin = now - (self.rule["timeframe"] if self._scans() else OVERLAP)
        self.rule["starttime"] = begin
        field = self.rule["timestamp_field"]
        again = [
            hit
            for hit in self._hits
            if datetime.fromisoformat(lookup_es_key(hit["_source"], field)) > begin
        ]
        self._run(at, again)

    def _scans(self) -> bool:
        return bool(self.rule.get("scan_entire_timeframe"))

    def _load(self) -> dict[str, Any]:
        rule: dict[str, Any] = _loader().load_configuration(self._file, _CONF)
        rule["starttime"] = self._start - timedelta(seconds=1)
        if isinstance(rule["type"], ConsecutiveFailures):
            rule["type"].history = RecentHistory(rule, self._hits)
        return rule

    def _run(self, at: float, hits: list[Hit]) -> None:
        if hits:
            self.rule["type"].add_data(ElastAlerter.process_hits(self.rule, _raw(hits)))
        self.rule["type"].garbage_collect(self._start + timedelta(seconds=at))
        matches = self.rule["type"].matches
        while matches:
            match = matches.pop(0)
            if self._silence(at, match):
                continue
            for enhancement in self.rule["match_enhancements"]:
                enhancement.process(match)
            alert = build_alert(self.rule, match)
            happened = datetime.fromisoformat(alert["occurred_at"]) - self._start
            alert["at"] = round(happened.total_seconds(), 3)
            self.alerts.setdefault(alert["alert_id"], alert)

    def _silence(self, at: float, match: dict[str, Any]) -> bool:
        """Apply ``realert``, which ElastAlert2 keeps in Elasticsearch across restarts."""
        key = str(lookup_es_key(match, self.rule.get("query_key") or "_"))
        if at < self._silenced.get(key, -1.0):
            return True
        self._silenced[key] = at + self.rule["realert"].total_seconds()
        return False


def run_case(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alerts of one case, in the order in which they were raised."""
    rule = OfflineRule(case["rule_file"], datetime.fromisoformat(case["start"]))
    restarts = sorted(case["restarts"])
    for at, group in groupby(case["documents"], key=lambda entry: entry["at"]):
        while restarts and restarts[0] <= at:
            rule.restart(restarts.pop(0))
        hits = [entry["document"] for entry in group]
        rule.step(at, [{"_id": doc["_id"], "_source": doc} for doc in hits])
    for at in restarts:
        rule.restart(at)
    return list(rule.alerts.values())


@cache
def _loader() -> CheckedLoader:
    # Reading ElastAlert2's schema takes longer than all cases of a rule.
    return CheckedLoader(_CONF)


def _raw(hits: list[Hit]) -> list[Hit]:
    """Copy hits as a search returns them; ElastAlert2 changes what it is given."""
    return copy.deepcopy(hits)


def main() -> None:
    """Read cases from stdin, write their alerts to stdout; a broken rule raises EAException."""
    os.environ.setdefault("DDCOLOR_NOTIFIER_URL", "http://notifier.invalid")
    json.dump([run_case(case) for case in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
