"""Helpers of the tests of telemetry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from opentelemetry.sdk.trace import ReadableSpan


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Return as soon as ``condition`` holds; ``AssertionError`` after ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {within_s} s"
        threading.Event().wait(0.005)


def span_id(span: ReadableSpan) -> int:
    """Return the id of a span that has a context."""
    context = span.get_span_context()
    assert context is not None
    return context.span_id
