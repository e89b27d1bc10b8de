"""What a run on the embedded stack left in its log files."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.demo.from_logs import read_logs

START = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)


def line(seconds: float, event: str, **attributes: object) -> str:
    """Make a log line, so many seconds after the start."""
    moment = (START + timedelta(seconds=seconds)).isoformat()
    return json.dumps({"@timestamp": moment, "message": "m", "event.name": event, **attributes})


def node(seconds: float, took_s: float, outcome: str = "executed") -> str:
    """Make the line of a node that has ended."""
    attributes = {
        semconv.NODE_CLASS_TYPE: "LoadImage",
        semconv.NODE_OUTCOME: outcome,
        semconv.NODE_DURATION: took_s,
    }
    return line(seconds, semconv.EVENT_NODE_FINISHED, **attributes)


def prompt(seconds: float, outcome: str) -> str:
    """Make the line of a prompt that has ended."""
    attributes: dict[str, object] = {semconv.PROMPT_OUTCOME: outcome}
    if outcome == "failed":
        attributes[semconv.ERROR_KIND] = "out_of_memory"
    return line(seconds, semconv.EVENT_PROMPT_FINISHED, **attributes)


def fault(seconds: float, kind: str) -> str:
    """Make the line that says a fault."""
    attributes = {semconv.ERROR_KIND: kind, semconv.ERROR_LEVEL: 2, "trace_id": "ab" * 16}
    return line(seconds, semconv.EVENT_NODE_FINISHED, **attributes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the log files of a run of a minute, with a rotation and a killed writer."""
    (tmp_path / "service.jsonl.20260131T083010Z").write_text(
        "\n".join([prompt(-5, "failed"), node(1, 2.0), prompt(2, "success"), ""])
    )
    (tmp_path / "service.jsonl").write_text(
        "\n".join(
            [
                *(node(11, 4.0), node(12, 0.0, "cached"), node(12, 0.0, "skipped")),
                prompt(13, "success"),
                *(fault(21, "out_of_memory"), prompt(22, "failed")),
                '{"@timestamp": "2026-01-31T08:30:23+00:00", "mess',
            ]
        )
    )
    (tmp_path / "stack.jsonl").write_text(fault(15, "service_down") + "\n")
    return tmp_path


def test_faults_stand_in_their_order_whatever_file_says_them(folder: Path) -> None:
    """The record that says a fault counts, once; a failed prompt's end repeats it."""
    found = read_logs(folder, START, START + timedelta(minutes=1))

    assert [(record.kind, record.said_s - START.timestamp()) for record in found.records] == [
        ("service_down", 15),
        ("out_of_memory", 21),
    ]
    assert found.records[0].trace_id == "ab" * 16


def test_durations_leave_out_nodes_that_did_not_run(folder: Path) -> None:
    """A cached or skipped node took no time, and would make the others look quick."""
    (found,) = read_logs(folder, START, START + timedelta(minutes=1)).durations

    assert (found.class_type, found.count) == ("LoadImage", 2)
    assert (found.low, found.p50, found.high) == (2.0, 3.0, 4.0)
    assert found.p50 < found.p95 <= found.high


def test_outcomes_are_counted_in_columns_without_gaps(folder: Path) -> None:
    """Columns in which nothing ended are there; what was before the run is not."""
    outcomes = read_logs(folder, START, START + timedelta(minutes=1)).outcomes
    steps = {(b.start - a.start).total_seconds() for a, b in itertools.pairwise(outcomes)}

    assert len(steps) == 1
    assert sum(bucket.counts.get("success", 0) for bucket in outcomes) == 2
    assert sum(bucket.counts.get("failed", 0) for bucket in outcomes) == 1
    assert any(not bucket.counts for bucket in outcomes)


def test_a_run_without_a_prompt_has_no_columns(tmp_path: Path) -> None:
    """Nothing is drawn of nothing."""
    found = read_logs(tmp_path, START, START + timedelta(minutes=1))

    assert (found.records, found.durations, found.outcomes) == ([], [], [])
