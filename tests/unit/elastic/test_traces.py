"""Which trace is meant, and what is not even asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ddcolor_operations.elastic.client import connect
from ddcolor_operations.elastic.traces import TraceNotFoundError, find_trace
from tests.support.elastic_memory import Memory, running_memory

NOTHING = {"hits": {"total": {"value": 0}, "hits": []}}
HIT = {"hits": {"total": {"value": 1}, "hits": [{"_source": {"trace_id": "0" * 32}}]}}


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Run an Elasticsearch that knows one alert, which has a trace, and no other document."""
    with running_memory() as server:
        server.answers["/logs-ddcolor.otel-*,traces-ddcolor.otel-*/_search"] = NOTHING
        server.answers["/logs-ddcolor.*/_search"] = HIT
        yield server


@pytest.mark.parametrize("given", ["dead", "deadbee", "prompt-1", "0" * 33])
def test_what_is_no_alert_id_is_not_taken_for_the_start_of_one(memory: Memory, given: str) -> None:
    """A few digits begin too many alerts: the trace of just any of them would be shown."""
    with connect(memory.url) as client, pytest.raises(TraceNotFoundError, match="No trace, prompt"):
        find_trace(client, given)


def test_eight_digits_of_an_alert_lead_to_its_trace(memory: Memory) -> None:
    """So many does a message show."""
    with connect(memory.url) as client:
        assert find_trace(client, "DEADBEEF") == "0" * 32


def test_a_text_that_can_be_no_id_is_not_asked_for(memory: Memory) -> None:
    """It is named, cut, without a request."""
    with connect(memory.url) as client, pytest.raises(TraceNotFoundError, match="is no id"):
        find_trace(client, "*" * 9)
    assert memory.requests == []
