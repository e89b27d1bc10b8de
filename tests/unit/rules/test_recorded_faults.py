"""What the recorder really writes is found by exactly the rule of its fault, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from comfyui_telemetry import Recorder, semconv
from comfyui_telemetry.catalogue import CATALOGUE
from comfyui_telemetry.testing import capture
from ddcolor_alerts.fields import Fields
from ddcolor_alerts.query import read_filter
from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.documents import to_document
from ddcolor_operations.rules.files import load_rule, rule_files

RULES = [load_rule(path) for path in rule_files(project_root() / "elastalert_rules" / "rules")]
NODE_KINDS = [
    *("decode_failed", "image_truncated", "image_too_large", "model_not_loaded"),
    *("out_of_memory", "execution_error", "output_damaged"),
]


def found(act: Callable[[Recorder], None]) -> dict[str, int]:
    """Return how many of the records that ``act`` makes each rule's filter finds."""
    with capture() as captured:
        act(captured.telemetry.recorder)
        records = list(captured.records)
    documents = [Fields(to_document(record, datetime.now(UTC))) for record in records]
    counts = {
        rule.name: sum(read_filter(rule.data["filter"])(document) for document in documents)
        for rule in RULES
    }
    return {name: count for name, count in counts.items() if count}


def failing(kind: str) -> Exception:
    """Return an exception that is of ``kind``, with other kinds' keywords in its text."""
    words = ", ".join(other.keyword for other in CATALOGUE.values())
    error = RuntimeError(f"the text of it says {words}")
    error.comfyui_error_kind = kind  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("kind", NODE_KINDS)
def test_a_failed_node_is_found_once_by_its_rule(kind: str) -> None:
    """One record for the kind's rule, one for the burst, one prompt for the row; no other."""

    def act(recorder: Recorder) -> None:
        with (
            pytest.raises(RuntimeError),
            recorder.prompt("p", node_count=1) as prompt,
            prompt.node("2", "DDColor_Colorize"),
        ):
            raise failing(kind)

    expected = {f"keyword_{kind}": 1}
    if not CATALOGUE[kind].users:
        expected |= {"consecutive_failures": 1, "error_rate": 1}
    if CATALOGUE[kind].level < 3:
        expected["frequency_failures"] = 1
    assert found(act) == expected


def test_a_failure_outside_the_nodes_is_found_once() -> None:
    """The prompt's own record says the fault when no node did."""

    def act(recorder: Recorder) -> None:
        with pytest.raises(RuntimeError), recorder.prompt("p", node_count=1):
            raise failing("execution_error")

    assert found(act) == {
        "keyword_execution_error": 1,
        "consecutive_failures": 1,
        "error_rate": 1,
        "frequency_failures": 1,
    }


@pytest.mark.parametrize("kind", ["decode_failed", "image_truncated", "image_too_large"])
def test_a_refused_upload_is_found_once(kind: str) -> None:
    """One record for its rule and for the burst."""
    counts = found(lambda recorder: recorder.upload_rejected(kind=kind, reason="no picture"))
    assert counts == {f"keyword_{kind}": 1, "frequency_failures": 1}


def test_success_refusals_and_interrupts_are_no_faults() -> None:
    """Only the row of failures sees a success, as its end; the rest sees nothing."""

    def act(recorder: Recorder) -> None:
        recorder.prompt_queued("p", number_waiting=1)
        recorder.prompt_rejected(error_type="invalid_prompt", message="Out of memory nodes")
        with recorder.prompt("p", node_count=2) as prompt:
            prompt.node_cached("1", "LoadImage")
            with prompt.node("2", "DDColor_Colorize") as node:
                node.set(**{semconv.MODEL_NAME: "m.pth"})
        with recorder.prompt("q", node_count=1) as prompt, prompt.node("2", "SaveImage") as node:
            node.interrupted()
            prompt.interrupted()

    counts: dict[str, Any] = found(act)
    # The quick end of a colouring ends a row of slow ones, and is one run of the p95; a success and
    # an interrupt pass the filter of failures, whose matchers tell them apart.
    assert counts == {
        "consecutive_failures": 2,
        "consecutive_slow": 1,
        "error_rate": 1,
        "node_latency_p95": 1,
    }
