"""Nothing that was written or acknowledged is lost, and nothing is doubled, whatever is killed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from ddcolor_operations.elastic.setup import wait_ready
from tests.support.elastic import (
    LOG_STREAM,
    SPAN_STREAM,
    Pipeline,
    Process,
    log_line,
    new_span_id,
    new_trace_id,
    otlp_span,
)
from tests.support.load import Load, arrived, wait_for_all

pytestmark = pytest.mark.timeout(300)


def assert_all_arrive_once(pipeline: Pipeline, load: Load) -> None:
    """Wait until every line and span of the load is there, each exactly once."""
    wait_for_all(pipeline, load)
    assert arrived(pipeline, load) == (Counter(load.uids), Counter(load.span_ids))


@contextmanager
def killed(part: Process, ready: Callable[[], object]) -> Iterator[None]:
    """Kill a part; start it again at the end and wait for it."""
    part.kill()
    try:
        yield
    finally:
        part.start()
        ready()


def test_killed_agent_and_gateway_lose_and_double_nothing(pipeline: Pipeline) -> None:
    """Both are killed twice in the middle of the load."""
    with Load(pipeline, "killed-collectors") as load:
        for number in (5, 20):
            load.wait_round(number)
            with killed(pipeline.gateway, lambda: pipeline.wait_healthy("gateway")):
                load.wait_round(number + 5)
                with killed(pipeline.agent, lambda: pipeline.wait_healthy("agent")):
                    pass
    assert_all_arrive_once(pipeline, load)


def test_killed_elasticsearch_loses_and_doubles_nothing(pipeline: Pipeline) -> None:
    """Elasticsearch is killed, and the agent too while it is away; the load waits on disk."""
    with Load(pipeline, "killed-elasticsearch") as load:
        load.wait_round(10)
        with killed(pipeline.elasticsearch, lambda: wait_ready(pipeline.client)):
            load.wait_round(20)
            with killed(pipeline.agent, lambda: pipeline.wait_healthy("agent")):
                pass
            load.wait_round(load.rounds)
    assert_all_arrive_once(pipeline, load)


def test_lines_written_and_rotated_while_the_agent_is_down_arrive(pipeline: Pipeline) -> None:
    """The agent finds its place again in a file that has got another name meanwhile."""
    trace_id = new_trace_id()
    file = pipeline.log_dir / "rotated.jsonl"
    query = {"term": {"trace_id": trace_id}}
    before = [log_line("before", trace_id=trace_id) for _ in range(20)]
    pipeline.write_lines(before, "rotated")
    pipeline.wait_for(LOG_STREAM, query, len(before))

    with killed(pipeline.agent, lambda: pipeline.wait_healthy("agent")):
        late = [log_line("late", trace_id=trace_id) for _ in range(20)]
        pipeline.write_lines(late, "rotated")
        file.rename(file.with_suffix(".jsonl.1"))
        fresh = [log_line("fresh", trace_id=trace_id) for _ in range(20)]
        pipeline.write_lines(fresh, "rotated")

    hits = pipeline.wait_for(LOG_STREAM, query, 60)
    assert Counter(hit["_id"] for hit in hits) == Counter(
        line["log.record.uid"] for line in [*before, *late, *fresh]
    )


def test_spans_queued_in_an_outage_arrive_after_it(pipeline: Pipeline) -> None:
    """A span that the agent acknowledged while the gateway was down is delivered later."""
    trace_id, span_id = new_trace_id(), new_span_id()
    with killed(pipeline.gateway, lambda: pipeline.wait_healthy("gateway")):
        pipeline.post("traces", otlp_span(trace_id, span_id))
        with killed(pipeline.agent, lambda: pipeline.wait_healthy("agent")):
            pass
    pipeline.wait_for(SPAN_STREAM, {"term": {"trace_id": trace_id}})


def test_elasticsearch_ends_with_its_launcher(pipeline: Pipeline) -> None:
    """No server is left behind, holding the data, when only the launcher is killed."""
    launcher = psutil.Process(pipeline.elasticsearch.pid)
    servers = launcher.children(recursive=True)
    assert servers
    os.kill(launcher.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(servers, timeout=30)
    pipeline.elasticsearch.kill()
    assert alive == []
    pipeline.elasticsearch.start()
    wait_ready(pipeline.client)
