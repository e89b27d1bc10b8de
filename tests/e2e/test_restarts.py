"""Any one part is killed while a fault happens, and no alert is lost."""

from __future__ import annotations

from typing import Any

import pytest

from ddcolor_operations.demo.client import new_trace_id
from ddcolor_operations.demo.photos import samples, workflow
from ddcolor_operations.stack import RunningStack
from tests.support.elastic import eventually
from tests.support.stacks import alerts, client_of

# Elasticsearch alone takes about half a minute to come back on two cores.
_TIMEOUT_S = 120.0


@pytest.mark.parametrize("part", ["agent", "gateway", "elasticsearch", "elastalert", "notifier"])
def test_a_killed_part_loses_no_alert(stack: RunningStack, part: str) -> None:
    """A fault that happens while the part is down is told once the part is back."""
    client = client_of(stack)
    sample = samples(per_scenario=1)[0]
    stored = client.upload(sample.file, f"{part}.jpg").json()["name"]
    client.arm("execution_error")
    pid = stack.kill(part)
    prompt_id = client.queue(workflow(sample.scenario, stored), sample.scenario, new_trace_id())
    assert not client.wait(prompt_id, 60).success

    def about_both(found: list[dict[str, Any]]) -> bool:
        return bool(_of_prompt(found, prompt_id)) and bool(_of_part(found, part))

    found = eventually(lambda: alerts(stack), about_both, _TIMEOUT_S)
    stack.wait_ready(part, not_pid=pid)

    (alert,) = _of_prompt(found, prompt_id)
    assert alert["kind"] == "execution_error"
    assert alert["status"] in {"accepted", "held_back"}
    assert _of_part(found, part)[0]["level"] == 3


def _of_prompt(found: list[dict[str, Any]], prompt_id: str) -> list[dict[str, Any]]:
    return [
        alert
        for alert in found
        if alert["prompt_id"] == prompt_id and alert["rule"] == "keyword_execution_error"
    ]


def _of_part(found: list[dict[str, Any]], part: str) -> list[dict[str, Any]]:
    return [
        alert
        for alert in found
        if alert["kind"] == "service_down" and alert["service"] == f"ddcolor-{part}"
    ]
