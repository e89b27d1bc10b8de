"""``ddcolor-obs rules backtest`` on a real Elasticsearch."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from elasticsearch.helpers import bulk

from comfyui_telemetry import semconv
from ddcolor_operations.commands.rules import rules
from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.documents import to_document
from tests.support.elastic import Pipeline, log_line

pytestmark = pytest.mark.timeout(180)

HOME = project_root() / "elastalert_rules"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
OOM: dict[str, Any] = {
    "log.level": "error",
    semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
    semconv.ERROR_KIND: "out_of_memory",
    semconv.ERROR_LEVEL: 2,
    semconv.NODE_CLASS_TYPE: "DDColor_Colorize",
}
FAILED: dict[str, Any] = {
    "log.level": "error",
    semconv.EVENT_NAME: semconv.EVENT_PROMPT_FINISHED,
    semconv.PROMPT_OUTCOME: "failed",
    semconv.ERROR_KIND: "out_of_memory",
    semconv.ERROR_LEVEL: 2,
}
Try = Callable[..., Result]


@pytest.fixture(scope="module")
def try_rule(pipeline: Pipeline) -> Try:
    """Index a morning's records, and return what tries a rule on it."""
    lines = [(minute, "Out of memory: x", OOM) for minute in (0, 1, 2, 3, 20, 21, 40)]
    lines += [(minute, "Prompt failed in node DDColor_Colorize (2)", FAILED) for minute in (5, 6)]
    lines += [(7, "Prompt failed in node DDColor_Colorize (2)", FAILED)]
    burst = {**OOM, semconv.NODE_CLASS_TYPE: "SaveImage"}
    lines += [(120 + minute, "Out of memory: y", burst) for minute in range(5)]
    actions = []
    for minute, message, attributes in lines:
        at = START + timedelta(minutes=minute)
        line = log_line(message, **{**attributes, "@timestamp": at.isoformat()})
        actions.append(
            {
                "_op_type": "create",
                "_index": "logs-ddcolor.otel-morning",
                "_id": secrets.token_hex(8),
                "_source": to_document(line, at),
            }
        )
    client = pipeline.client.options(request_timeout=60)
    # Without the pipeline that would stamp them with the time of today.
    bulk(client, actions, pipeline="_none", refresh=True)

    def run(name: str, *options: str) -> Result:
        arguments = ["backtest", name, "--url", pipeline.url, *options]
        if "--from" not in options:
            arguments += ["--from", START.isoformat(), "--to", "2026-01-05T09:00+00:00"]
        return CliRunner().invoke(rules, arguments)

    return run


def test_alerts_and_messages_are_counted_by_the_notifiers_own_rules(try_rule: Try) -> None:
    """Of seven alerts at 0-3, 20-21 and 40 min three speak; two of them end with what was held."""
    result = try_rule("keyword_out_of_memory", "--json")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["rule"], found["documents"]) == ("keyword_out_of_memory", 7)
    assert [alert["status"] for alert in found["alerts"]] == [
        *("accepted", "held_back", "held_back", "held_back"),
        *("accepted", "held_back", "accepted"),
    ]
    assert (found["messages"], found["held_back"], found["closing_messages"]) == (3, 4, 2)
    assert found["alerts"][4]["occurred_at"] == "2026-01-05T08:20:00.000000Z"
    assert found["alerts"][0]["node"] == "DDColor_Colorize"


def test_a_changed_copy_is_tried_before_it_runs(try_rule: Try, tmp_path: Path) -> None:
    """With a threshold of two the row of three failures fires at the second."""
    (tmp_path / "shared").symlink_to(HOME / "shared")
    (tmp_path / "rules").mkdir()
    copy = tmp_path / "rules" / "consecutive_failures.yaml"
    text = (HOME / "rules" / copy.name).read_text("utf-8")
    copy.write_text(text.replace("threshold: 3", "threshold: 2"), "utf-8")

    assert "alerts: 1, messages: 1, held back: 0," in try_rule("consecutive_failures").output
    found = try_rule(str(copy)).output
    assert "level 3  out_of_memory  ddcolor-service  2 times  told" in found
    assert "alerts: 1, messages: 1," in found


def test_a_span_before_the_range_fills_the_window(try_rule: Try) -> None:
    """Four faults before the range and one in it are a burst, as they were when it happened."""
    extra = ("--from", "2026-01-05T10:04:00+00:00", "--to", "2026-01-05T10:10:00+00:00", "--json")
    found = json.loads(try_rule("frequency_failures", *extra).stdout)
    assert (found["documents"], [alert["count"] for alert in found["alerts"]]) == (1, [5])

    later = ("--from", "2026-01-05T10:04:30+00:00", "--to", "2026-01-05T10:10:00+00:00")
    assert "alerts: 0," in try_rule("frequency_failures", *later).output


def test_heartbeats_and_an_empty_range_are_no_alerts(try_rule: Try) -> None:
    """Nothing found is said in numbers."""
    result = try_rule("chain_heartbeat")
    assert "the filter of chain_heartbeat finds: 0" in result.output
    assert "alerts: 0, messages: 0," in result.output


def test_wrong_ranges_and_a_dead_server_end_with_a_message(try_rule: Try) -> None:
    """Nobody sees a traceback."""
    assert try_rule("queue_depth", "--from", "soon").exit_code == 2
    dead = CliRunner().invoke(rules, ["backtest", "queue_depth", "--url", "http://127.0.0.1:9"])
    assert dead.exit_code == 1
    assert "cannot be asked" in dead.output
