"""W3C trace context in and out."""

from __future__ import annotations

import pytest
from opentelemetry import trace

from comfyui_telemetry import extract_context, inject_context
from comfyui_telemetry.testing import capture

_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("name", ["traceparent", "Traceparent", "TRACEPARENT"])
def test_any_spelling_of_the_header_is_read(name: str) -> None:
    """HTTP header names have no case; the state comes along."""
    found = extract_context({name: _TRACEPARENT, "TraceState": "a=1", "Other": "x"})
    span = trace.get_current_span(found).get_span_context()
    assert format(span.trace_id, "032x") == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span.is_remote
    assert span.trace_state["a"] == "1"


@pytest.mark.parametrize("value", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"])
def test_an_invalid_header_starts_a_new_trace(value: str) -> None:
    """A wrong traceparent is no error and no parent."""
    found = extract_context({"traceparent": value})
    assert not trace.get_current_span(found).get_span_context().is_valid


def test_the_current_span_is_not_taken_for_a_parent_from_outside() -> None:
    """Without a header the context is empty, whatever runs here."""
    with capture() as captured, captured.telemetry.tracer.start_as_current_span("s"):
        assert not trace.get_current_span(extract_context({})).get_span_context().is_valid


def test_what_goes_out_comes_in() -> None:
    """inject_context fills headers that extract_context understands."""
    with capture() as captured, captured.telemetry.tracer.start_as_current_span("s") as span:
        headers = inject_context({"Accept": "x"})
    assert headers["Accept"] == "x"
    found = trace.get_current_span(extract_context(headers)).get_span_context()
    assert found.span_id == span.get_span_context().span_id
    assert inject_context() == {}
