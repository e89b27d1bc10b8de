"""Nodes that are entered several times, and errors that are only told of."""

from __future__ import annotations

import time
import types

import pytest
from opentelemetry import trace

from comfyui_telemetry import ToldError, classify, semconv
from comfyui_telemetry.testing import Captured, capture


class Clock:
    """A monotonic clock that stands until it is moved; seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        fake = types.SimpleNamespace(monotonic=lambda: self.now, time_ns=time.time_ns)
        monkeypatch.setattr("comfyui_telemetry._node.time", fake)


@pytest.mark.parametrize(("waits", "seconds"), [(True, 2.0), (False, 62.0)])
def test_waiting_for_others_is_not_the_nodes_own_time(
    monkeypatch: pytest.MonkeyPatch, waits: bool, seconds: float
) -> None:
    """The minute that its inputs took is left out and does not make it slow; its own await does."""
    clock = Clock(monkeypatch)
    with capture() as captured, captured.telemetry.recorder.prompt("p-1", node_count=1) as prompt:
        node = prompt.node("1", "Lazy")
        node.begin()
        clock.now += 1
        node.suspend(waits=waits)
        assert trace.get_current_span().get_span_context().span_id != 0
        assert trace.get_current_span() is not trace.get_current_span(node.context)
        clock.now += 60
        node.resume()
        assert trace.get_current_span() is trace.get_current_span(node.context)
        clock.now += 1
        node.end()
        record = captured.record(semconv.EVENT_NODE_FINISHED)
        assert record[semconv.NODE_DURATION] == pytest.approx(seconds)
        assert len(captured.events(semconv.EVENT_NODE_SLOW)) == (0 if waits else 1)


def test_a_node_given_up_says_nothing_about_its_prompt(captured: Captured) -> None:
    """Its outcome is its own; the prompt is a success unless something else says not."""
    with captured.telemetry.recorder.prompt("p-1", node_count=1) as prompt:
        node = prompt.node("1", "Later")
        node.begin()
        node.suspend(waits=False)
        node.given_up("interrupted")
        node.end()
    assert captured.record(semconv.EVENT_NODE_FINISHED)[semconv.NODE_OUTCOME] == "interrupted"
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "success"


def test_a_prompt_that_runs_elsewhere_is_not_current(captured: Captured) -> None:
    """begin() and end() record it with the times of whoever measured them."""
    prompt = captured.telemetry.recorder.prompt("p-1", node_count=None)
    prompt.begin(1_700_000_000_000_000_000)
    assert not trace.get_current_span().get_span_context().is_valid
    prompt.end(None, 1_700_000_009_000_000_000, 7.5)
    record = captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert record[semconv.PROMPT_DURATION] == 7.5
    assert record["@timestamp"].startswith("2023-11-14T22:13:29")
    assert semconv.PROMPT_NODE_COUNT not in record


@pytest.mark.parametrize(
    ("error_type", "message", "kind"),
    [
        ("torch.OutOfMemoryError", "Allocation", "out_of_memory"),
        ("PIL.UnidentifiedImageError", "x", "decode_failed"),
        ("RuntimeError", "DefaultCPUAllocator: can't allocate memory", "out_of_memory"),
        ("SomeError", "x", "execution_error"),
    ],
)
def test_what_is_told_of_an_error_classifies_it(error_type: str, message: str, kind: str) -> None:
    """By the class's name without its module, else by the text."""
    assert classify(ToldError(error_type, message)) == kind


def test_a_told_error_is_recorded_as_it_was_told(captured: Captured) -> None:
    """Type, message and stack are redacted and are not those of the stand-in."""
    error = ToldError("a.b.CustomError", "no /home/alice/x.png", "  File /home/alice/n.py\n")
    prompt = captured.telemetry.recorder.prompt("p-1", node_count=1)
    prompt.begin()
    node = prompt.node("1", "Load")
    node.begin()
    node.end(error)
    record = captured.events(semconv.EVENT_NODE_FINISHED)[0]
    assert record[semconv.ERROR_TYPE] == "a.b.CustomError"
    assert "alice" not in record[semconv.ERROR_MESSAGE] + record[semconv.ERROR_STACK_TRACE]
    assert record["message"].startswith("Execution error: node Load (1): no ")
