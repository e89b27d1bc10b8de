"""The embedded stack: the demo's path with Python alone, judged as on the whole stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.demo.client import new_trace_id
from ddcolor_operations.demo.gather import Gathered
from ddcolor_operations.demo.photos import samples, workflow
from ddcolor_operations.demo.run import Pace
from ddcolor_operations.report.render import render
from ddcolor_operations.stack import RunningStack
from tests.support.elastic import eventually
from tests.support.stacks import alerts, client_of, log_lines, perform, received, whole_stack


@pytest.fixture(scope="module")
def small(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """Run service, watcher, notifier and receivers for this module."""
    with whole_stack(lambda: request.session.testsfailed > 0, embedded=True) as running:
        yield running


@pytest.fixture(scope="module")
def performed(small: RunningStack) -> Gathered:
    """Perform the demo once on it."""
    return perform(small, Pace(settle_s=5.0))


def test_every_fault_is_told_without_elasticsearch(performed: Gathered) -> None:
    """The rules see in the log files what they see in Elasticsearch, and nothing else."""
    assert [problem.en for problem in performed.run.all_problems] == []
    assert {
        (alert.kind, alert.level, alert.channel)
        for fault in performed.run.faults
        for alert in fault.alerts
    } == {
        (expected.kind, expected.level, channel)
        for fault in performed.run.faults
        for expected in fault.expected
        for channel in expected.channels
    }


def test_what_is_left_out_is_said(performed: Gathered) -> None:
    """No traces and no documents; the report of the run says the rest from the log files."""
    run = performed.run

    assert (run.documents, performed.failed) == ({}, None)
    assert any("Elasticsearch" in text.en for text in run.left_out)
    assert {item.class_type for item in performed.evidence.durations} >= {"DDColor_Colorize"}
    assert "Elasticsearch" in render(run, performed.evidence, "en")


@pytest.mark.usefixtures("performed")
def test_no_part_complains_of_what_is_not_there(small: RunningStack) -> None:
    """Without a collector nothing is exported, and no loss is counted."""
    parts = ("service", "notifier", "watcher", "stack")
    events = {line.get(semconv.EVENT_NAME) for part in parts for line in log_lines(small, part)}

    assert semconv.EVENT_TELEMETRY_DEGRADED not in events


@pytest.mark.usefixtures("performed")
def test_no_message_has_a_link(small: RunningStack) -> None:
    """A link to a Kibana that is not there would lead nowhere."""
    texts = [message["text"] for message in received(small)]

    assert texts
    assert not [text for text in texts if "/app/discover" in text]


@pytest.mark.usefixtures("performed")
def test_a_killed_watcher_loses_no_alert(small: RunningStack) -> None:
    """A fault while the watcher is down is told once it is back."""
    client = client_of(small)
    sample = samples(per_scenario=1)[0]
    stored = client.upload(sample.file, "watcher.jpg").json()["name"]
    client.arm("execution_error")
    pid = small.kill("watcher")
    prompt_id = client.queue(workflow(sample.scenario, stored), sample.scenario, new_trace_id())
    assert not client.wait(prompt_id, 60).success
    small.wait_ready("watcher", not_pid=pid)
    found = eventually(
        lambda: [alert for alert in alerts(small) if alert["prompt_id"] == prompt_id],
        timeout_s=60,
    )

    assert {alert["rule"] for alert in found} == {"keyword_execution_error"}
    assert len(found) == 1
