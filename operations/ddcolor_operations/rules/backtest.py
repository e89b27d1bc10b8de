"""What a rule would have said of the data in Elasticsearch, and how many messages of it were left.

The rule's documents are read by its own filter and go through the rule as in the log watcher; its
alerts go into an empty outbox by the notifier's own rules, at the times at which they were raised.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan

from ddcolor_alerts.fields import Fields
from ddcolor_operations.notifier import episodes, outbox
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.database import open_database
from ddcolor_operations.notifier.occasions import Form

from .files import Rule
from .offline import replay

MOST_DOCUMENTS = 200_000
_CHAT = "chat"
_PAGE = 2000


class BacktestError(Exception):
    """The rule cannot be tried on this data; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert, when the rule would have raised it, and what the notifier makes of it."""

    alert: Alert
    at: datetime
    status: outbox.Status


@dataclass(frozen=True, slots=True)
class Backtest:
    """What would have come.

    ``messages`` counts what a chat shows of the alerts before digests, ``closing`` the messages
    that a fault is over. ``heartbeats`` are those that the rule sends instead of alerts.
    """

    documents: int
    alerts: list[Raised]
    heartbeats: int
    messages: int
    closing: int


def backtest(
    client: Elasticsearch,
    rule: Rule,
    start: datetime,
    end: datetime,
    *,
    window_s: float,
    python: Path,
    package_root: Path,
) -> Backtest:
    """Try ``rule`` on what arrived from ``start`` to ``end``.

    A rule that counts over a span reads the span before ``start`` as well, so its window is full.
    ``window_s`` is how long the notifier holds repetitions back. Raises BacktestError, OfflineError
    or the client's errors.
    """
    spec = rule.data.get("timeframe")
    early = start - (timedelta(**spec) if isinstance(spec, dict) else timedelta(0))
    documents = _documents(client, rule, early, end)
    found = replay(
        rule.file.path,
        early,
        [(at - early, document) for at, document in documents],
        end - early,
        python=python,
        package_root=package_root,
    )
    found = [item for item in found if early + timedelta(seconds=item["raised"]) >= start]
    alerts = [
        (early + timedelta(seconds=item["raised"]), Alert.from_json(item))
        for item in found
        if "alert_id" in item
    ]
    raised, spoken, closing = _told(alerts, window_s, end)
    return Backtest(
        documents=sum(at >= start for at, _ in documents),
        alerts=raised,
        heartbeats=len(found) - len(alerts),
        messages=spoken,
        closing=closing,
    )


def _documents(
    client: Elasticsearch, rule: Rule, start: datetime, end: datetime
) -> list[tuple[datetime, dict[str, Any]]]:
    """Return what the rule's filter finds, by the time at which it arrived."""
    field = rule.data["timestamp_field"]
    between = {"range": {field: {"gte": start.isoformat(), "lt": end.isoformat()}}}
    parts = [part.get("query", part) for part in rule.data["filter"]]
    query = {"bool": {"filter": [*parts, between]}}
    index = rule.data["index"]
    number = client.count(index=index, query=query, ignore_unavailable=True)["count"]
    if number > MOST_DOCUMENTS:
        raise BacktestError(
            f"{rule.name}: its filter finds {number} documents, more than {MOST_DOCUMENTS}:"
            " choose a shorter range"
        )
    found = []
    for hit in scan(client, index=index, query={"query": query}, size=_PAGE):
        document = {**hit["_source"], "_id": hit["_id"]}
        arrived = Fields(document).values(field)[0]
        found.append((datetime.fromisoformat(arrived).astimezone(UTC), document))
    return sorted(found, key=lambda pair: pair[0])


def _told(
    alerts: Sequence[tuple[datetime, Alert]], window_s: float, end: datetime
) -> tuple[list[Raised], int, int]:
    """Return the alerts with their status, the messages of them, and the closing messages."""
    # As the notifier's own default: a fault is over when it has kept still for twice the window.
    quiet_s = max(600.0, window_s)
    raised = []
    with tempfile.TemporaryDirectory(prefix="ddcolor-backtest-") as folder:
        connection = open_database(Path(folder))
        try:
            connection.execute("BEGIN")
            for at, alert in alerts:
                now = at.timestamp()
                episodes.end_quiet_episodes(connection, now, quiet_s)
                channels = (outbox.RECORD,) if alert.level == 1 else (_CHAT,)
                status = outbox.accept(connection, alert, channels, now, window_s)
                raised.append(Raised(alert, at, status))
            episodes.end_quiet_episodes(connection, end.timestamp() + quiet_s, quiet_s)
            rows = connection.execute(
                "SELECT form, count(*) FROM deliveries WHERE channel = ? GROUP BY form", (_CHAT,)
            )
            counts = dict(tuple(row) for row in rows)
        finally:
            connection.close()
    return raised, counts.get(Form.ALERT, 0), counts.get(Form.OVER, 0)
