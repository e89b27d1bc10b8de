"""The facts as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from ddcolor_operations.report.facts import Message
from tests.support import runs


def test_the_json_has_what_a_script_needs(tmp_path: Path) -> None:
    """Photos, faults with their alerts per channel, documents and versions are all there."""
    facts = json.loads(json.dumps(runs.run(tmp_path).to_json()))

    assert facts["ok"] is True
    assert set(facts["photos"][0]) == {
        "scenario",
        "input",
        "output",
        "seconds",
        "prompt_id",
        "trace_id",
    }
    three = next(fault for fault in facts["faults"] if fault["name"] == "three_failures")
    assert three["held_back"] == 2
    assert three["expected"][1] == {
        "kind": "execution_error",
        "level": 3,
        "channels": ["wecom", "dingtalk", "sms", "mail"],
    }
    assert [(alert["level"], alert["channel"]) for alert in three["alerts"]] == [
        (2, "wecom"),
        (2, "dingtalk"),
        (3, "wecom"),
        (3, "dingtalk"),
        (3, "sms"),
        (3, "mail"),
    ]
    assert three["alerts"][0]["seconds"] == 2.4
    assert three["alerts"][0]["delivered_at"] == "2026-01-31T08:30:30.000Z"
    assert facts["documents"]["logs-ddcolor.otel-default"] == 214


def test_a_problem_makes_the_run_not_ok(tmp_path: Path) -> None:
    """One missing alert is enough."""
    broken = runs.fault("lost", ("decode_failed", 2), arrived=False)
    facts = runs.run(tmp_path, faults=(broken,)).to_json()

    assert facts["ok"] is False
    assert facts["problems"] == ["lost: nothing arrived"]


def test_links_of_a_shown_message_are_cut_after_the_host() -> None:
    """A link of three lines hides no words; the text around it stays as it was."""
    message = Message(
        "wecom", "建议 [日志](http://127.0.0.1:5601/app/x#/?_g=%28a%29) · https://a.b/c d"
    )

    assert message.shown == "建议 [日志](http://127.0.0.1:5601/…) · https://a.b/… d"
