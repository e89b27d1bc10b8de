"""ElastAlert2's main object with the gaps closed that its source and our runs have shown.

Each override says which behaviour it replaces and why. What is written here relies on the locked
version of ElastAlert2; a test with a real Elasticsearch covers every override.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from elastalert.elastalert import ElastAlerter

from ddcolor_alerts import indices
from ddcolor_alerts.alerter import NotifierAlerter
from ddcolor_alerts.heartbeat import HeartbeatAlerter

_LOG = logging.getLogger("ddcolor_alerts.runner")

# A document is stamped when it arrives and can be found after the next refresh, so the end of the
# last run is not a clean cut. What is read twice makes the same alert ids.
OVERLAP = timedelta(seconds=30)
_STATUS_EVERY_S = 10.0
_RETENTION_EVERY_S = 3600.0

Rule = dict[str, Any]


class Runner(ElastAlerter):  # type: ignore[misc]  # ElastAlert2 has no types
    """Runs the rules until :meth:`stop`; calls ``cycle_done`` after each full round of them.

    ``cycle_done(rules, seconds)`` gets the number of rules and the time since the last full round.
    """

    def __init__(self, args: list[str], cycle_done: Callable[[int, float], None]) -> None:
        self._cycle_done = cycle_done
        self._cycle_lock = threading.Lock()
        self._cycle_start = time.monotonic()
        self._ran: set[str] = set()
        self._stopped = threading.Event()
        self._unwritten: list[dict[str, Any]] = []
        self._status_written: dict[str, float] = {}
        super().__init__(args)
        self.scheduler.add_job(
            self._forget_old, "interval", seconds=int(_RETENTION_EVERY_S), id="_retention"
        )

    # --- Scheduling -----------------------------------------------------------------------------
    def init_rule(self, new_rule: Rule, new: bool = True) -> Rule:
        """Run a rule at once and on time: ElastAlert2 adds 0 to 15 s first and 0 to 5 s always.

        A rule that was saved begins with an empty window, so it has to read the documents of it
        again; ElastAlert2 would leave out those that the rule's last version has seen.
        """
        rule: Rule = super().init_rule(new_rule, new)
        if not new:
            rule["processed_hits"] = {}
        self.scheduler.reschedule_job(
            rule["name"], trigger="interval", seconds=rule["run_every"].total_seconds()
        )
        self.scheduler.modify_job(rule["name"], next_run_time=datetime.now(UTC))
        return rule

    def stop(self) -> None:
        """End :meth:`start` soon; safe to call from a signal handler."""
        super().stop()
        self._stopped.set()

    def sleep_for(self, duration: float) -> None:
        """Sleep until the next look at the clock, or until :meth:`stop`."""
        self._stopped.wait(duration)

    def handle_rule_execution(self, rule: Rule) -> None:
        """Run a rule and note whether it came to its end, for the heartbeat."""
        before = rule.get("previous_endtime")
        super().handle_rule_execution(rule)
        if rule.get("previous_endtime") == before:
            return
        with self._cycle_lock:
            self._ran.add(rule["name"])
            names = {other["name"] for other in self.rules}
            if names - self._ran:
                return
            now = time.monotonic()
            seconds, self._cycle_start = now - self._cycle_start, now
            self._ran.clear()
        self._cycle_done(len(names), seconds)

    def get_elasticsearch_client(self, rule: Rule) -> Any:
        """Return the rule's client, whose searches hold nothing open on the server.

        ElastAlert2 opens a scroll for each search and deletes it after: twice the requests, for
        the rare round with more documents than one page.
        """
        new = rule["name"] not in self.es_clients
        client = super().get_elasticsearch_client(rule)
        if new:
            client.search = partial(_search, client.search)
        return client

    # --- No gap in what is read -----------------------------------------------------------------
    def get_starttime(self, rule: Rule) -> datetime | None:
        """Begin a little before the end of the last process's last run."""
        last: datetime | None = super().get_starttime(rule)
        return None if last is None else last - OVERLAP

    def set_starttime(self, rule: Rule, endtime: datetime) -> None:
        """Begin a little before the last good run also after an outage of Elasticsearch.

        ElastAlert2 reads all of a timeframe at each run, in which a rule has every document but the
        last ones: a rule on all nodes of ten minutes would read megabytes a second.
        """
        super().set_starttime(rule, endtime)
        reached = rule.get("previous_endtime")
        if reached is None:
            return
        if rule["starttime"] == reached:
            rule["starttime"] -= OVERLAP
        rule["starttime"] = max(rule["starttime"], reached - self.buffer_time)

    def remove_old_events(self, rule: Rule) -> None:
        """Forget documents that no later query can return.

        ElastAlert2 goes by the clock, and so forgets all of them in an outage that is longer than
        the buffer; then what is read again would be counted again.
        """
        reached = rule.get("previous_endtime")
        if reached is None:
            return
        span = max(rule.get("buffer_time", self.buffer_time), rule.get("timeframe", timedelta(0)))
        oldest = reached - span - 2 * OVERLAP
        seen: dict[str, datetime] = rule["processed_hits"]
        for uid in [uid for uid, moment in seen.items() if moment < oldest]:
            del seen[uid]

    # --- No alert lost on its way ---------------------------------------------------------------
    def writeback(
        self, doc_type: str, body: dict[str, Any], rule: Rule | None = None, match_body: Any = None
    ) -> Any:
        """Write to ElastAlert2's own index.

        An alert that could be neither sent nor written is kept and written later; ElastAlert2
        forgets it. A status document is written every 10 s instead of at each run: it says where to
        begin after a restart, and beginning earlier is harmless.
        """
        if doc_type == "elastalert_status" and not self._status_due(body):
            return None
        result = super().writeback(doc_type, body, rule, match_body)
        if result is None and doc_type == "elastalert" and body.get("alert_sent") is False:
            self._unwritten.append(body)
        return result

    def handle_pending_alerts(self) -> None:
        """Write what could not be written before, then send what was not taken before."""
        waiting, self._unwritten = self._unwritten, []
        for body in waiting:
            self.writeback("elastalert", body)
        super().handle_pending_alerts()

    def find_recent_pending_alerts(self, time_limit: timedelta) -> list[dict[str, Any]]:
        """Find what is still to be sent; while the notifier is away, one of it, to try.

        ElastAlert2 tries each of them on each round, and writes every failure down.
        """
        pending: list[dict[str, Any]] = super().find_recent_pending_alerts(time_limit)
        return pending[:1] if NotifierAlerter.away else pending

    def set_realert(self, silence_cache_key: str, timestamp: datetime, exponent: int) -> Any:
        """Silence a rule in memory now, and on disk once its alert is on its way.

        ElastAlert2 writes the silence first: killed between the two, it would never send the alert.
        """
        self.silence_cache[silence_cache_key] = (timestamp, exponent)
        self._silences().append(
            {"exponent": exponent, "rule_name": silence_cache_key, "until": timestamp}
        )
        return True

    def alert(
        self, matches: list[Any], rule: Rule, alert_time: Any = None, retried: bool = False
    ) -> Any:
        """Send, then write the silence that belongs to it.

        A heartbeat is only sent: it is no alert, and is of no use later.
        """
        if all(isinstance(alerter, HeartbeatAlerter) for alerter in rule["alert"]):
            for alerter in rule["alert"]:
                alerter.alert(matches)
            return None
        result = super().alert(matches, rule, alert_time=alert_time, retried=retried)
        silences = self._silences()
        while silences:
            self.writeback("silence", silences.pop())
        return result

    def send_notification_email(self, *_: Any, **__: Any) -> None:
        """Send no mail: without a recipient ElastAlert2 tries the host's port 25 all the same."""

    # --- Rule files -----------------------------------------------------------------------------
    def load_rule_changes(self) -> None:
        """Load changed files, and end the old job of a rule that was renamed inside its file."""
        before = {id(rule): rule["name"] for rule in self.rules}
        super().load_rule_changes()
        for rule in self.rules:
            if id(rule) not in before:
                _LOG.info("Rule %s runs as it was saved", rule["name"])
        for name in set(before.values()) - {rule["name"] for rule in self.rules}:
            if self.scheduler.get_job(name):
                self.scheduler.remove_job(name)
            _LOG.warning("Rule %s no longer runs", name)

    def _status_due(self, body: dict[str, Any]) -> bool:
        name, now = body["rule_name"], time.monotonic()
        if not body["matches"] and now - self._status_written.get(name, -1e9) < _STATUS_EVERY_S:
            return False
        self._status_written[name] = now
        return True

    def _silences(self) -> list[dict[str, Any]]:
        # Of this thread: each rule runs in one.
        if not hasattr(self.thread_data, "silences"):
            self.thread_data.silences = []
        found: list[dict[str, Any]] = self.thread_data.silences
        return found

    def _forget_old(self) -> None:
        indices.forget_old(self.writeback_es, self.writeback_index)


def _search(search: Callable[..., Any], *, scroll: str | None = None, **query: Any) -> Any:
    """Search without a scroll first; with one if the page is full."""
    answer = search(**query)
    if scroll is None or len(answer["hits"]["hits"]) < query.get("size", 10):
        return answer
    return search(scroll=scroll, **query)
