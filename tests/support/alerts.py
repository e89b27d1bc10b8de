"""Alerts, outboxes and configurations for the notifier's tests."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.database import open_database
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.links import Kibana
from ddcolor_operations.notifier.messages import Renderer
from ddcolor_operations.notifier.routing import Routing
from ddcolor_operations.notifier.views import Reader
from ddcolor_operations.notifier.wording import load_wording

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def alert_json(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the body of a valid alert; ``number`` makes its id."""
    return {
        "alert_id": hashlib.sha256(str(number).encode()).hexdigest()[:32],
        "rule": "keyword_out_of_memory",
        "kind": "out_of_memory",
        "level": 2,
        "service": "ddcolor-service",
        "node": "DDColor_Colorize",
        "node_id": "2",
        "prompt_id": None,
        "trace_id": TRACE_ID,
        "occurred_at": NOON.isoformat(),
        "summary": "Out of memory: node DDColor_Colorize (2): no room",
        "count": 1,
        "values": {},
        "owner": None,
        **changes,
    }


def make_alert(number: int = 1, **changes: Any) -> Alert:
    """Return a valid alert."""
    return Alert.from_json(alert_json(number, **changes))


def make_item(number: int = 1, *, held_before: int = 0, maybe_sent: bool = False, **c: Any) -> Item:
    """Return a delivery of a valid alert."""
    now = NOON.timestamp()
    alert = make_alert(number, **c)
    return Item(number, alert, 1, 0, now, now, held_before, maybe_sent=maybe_sent)


def make_reader(
    language: str = "zh",
    *,
    kibana: bool = True,
    templates_dir: Path | None = None,
    routing: Routing | None = None,
) -> Reader:
    """Return a reader in UTC."""
    links = Kibana("https://kibana.example.com/s/ops", "ddcolor-logs", "ddcolor-prompt")
    wording = load_wording(language, templates_dir)
    return Reader(wording, UTC, links if kibana else None, routing)


def make_renderer(
    language: str = "zh",
    *,
    kibana: bool = True,
    templates_dir: Path | None = None,
    routing: Routing | None = None,
) -> Renderer:
    """Return a renderer for a reader in UTC."""
    reader = make_reader(language, kibana=kibana, templates_dir=templates_dir, routing=routing)
    return Renderer(reader, templates_dir)


def open_outbox(folder: Path) -> sqlite3.Connection:
    """Return a new outbox, with a transaction open for the whole test."""
    connection = open_database(folder)
    connection.execute("BEGIN")
    return connection
