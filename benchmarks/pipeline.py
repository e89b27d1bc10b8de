"""Measure the pipeline on this machine: speed, what kills lose, how soon an outage is over.

Run from the top of the checkout: ``python benchmarks/pipeline.py``. Prints JSON. Needs the tool
chain (``ddcolor-obs setup``); starts its own Elasticsearch, gateway and agent on free ports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ddcolor_operations.elastic.setup import wait_ready
from tests.support.elastic import LOG_STREAM, Pipeline, eventually, log_line, new_trace_id
from tests.support.load import Load, arrived, wait_for_all

ARRIVAL_LINES = 20
OUTAGE_S = 60.0


def arrival_s(pipeline: Pipeline) -> list[float]:
    """Return, for single lines, the seconds from writing one until a search finds it."""
    seconds = []
    for _ in range(ARRIVAL_LINES):
        trace_id = new_trace_id()
        started = time.monotonic()
        pipeline.write_lines([log_line("arrival", trace_id=trace_id)], "arrival")
        pipeline.wait_for(LOG_STREAM, {"term": {"trace_id": trace_id}})
        seconds.append(time.monotonic() - started)
    return seconds


def throughput(pipeline: Pipeline, lines: int) -> dict[str, object]:
    """Write ``lines`` lines of ten attributes at once; return the rate until all are found."""
    trace_id = new_trace_id()
    query = {"term": {"trace_id": trace_id}}
    attributes = {f"benchmark.attribute.{number}": f"value {number}" for number in range(10)}
    started = time.monotonic()
    pipeline.write_lines(
        (log_line("throughput", trace_id=trace_id, **attributes) for _ in range(lines)),
        "throughput",
    )
    written = time.monotonic()
    eventually(
        lambda: pipeline.client.count(index=LOG_STREAM, query=query)["count"],
        lambda found: found >= lines,
        timeout_s=600,
    )
    seconds = time.monotonic() - started
    return {
        "lines": lines,
        "writing_s": round(written - started, 1),
        "lines_per_s_until_found": round(lines / seconds),
    }


def outage_s(pipeline: Pipeline) -> float:
    """Return the seconds from a gateway's return, after a minute's absence, until a line is found.

    The line was written during the outage and waits in the agent.
    """
    trace_id = new_trace_id()
    pipeline.gateway.kill()
    pipeline.write_lines([log_line("outage", trace_id=trace_id)], "outage")
    time.sleep(OUTAGE_S)
    pipeline.gateway.start()
    pipeline.wait_healthy("gateway")
    started = time.monotonic()
    pipeline.wait_for(LOG_STREAM, {"term": {"trace_id": trace_id}}, timeout_s=180)
    return time.monotonic() - started


def kills(pipeline: Pipeline, rounds: int, lines_a_round: int, times: int) -> dict[str, object]:
    """Kill agent and gateway ``times`` times each and Elasticsearch once; count what is there."""
    started = time.monotonic()
    with Load(pipeline, "kills", rounds=rounds, lines_a_round=lines_a_round) as load:
        for number in range(1, times + 1):
            load.wait_round(number * rounds // (times + 1))
            for part in (pipeline.gateway, pipeline.agent):
                part.kill()
                part.start()
            if number == times // 2 + 1:
                pipeline.elasticsearch.kill()
                pipeline.elasticsearch.start()
            pipeline.wait_healthy("agent")
    wait_ready(pipeline.client)
    wait_for_all(pipeline, load, timeout_s=300)
    logs, spans = arrived(pipeline, load)
    return {
        "lines_written": len(load.uids),
        "lines_found": len(logs),
        "spans_acknowledged": len(load.span_ids),
        "spans_found": len(spans),
        "doubled": sum(logs.values()) - len(logs) + sum(spans.values()) - len(spans),
        "resent_and_refused_by_id": pipeline.gateway.output.read_text().count("version_conflict"),
        "agent_and_gateway_killed": times,
        "elasticsearch_killed": 1,
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--lines-a-round", type=int, default=50)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--lines", type=int, default=50_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ddcolor-benchmark-"))
    folder.chmod(0o755)
    pipeline = Pipeline(folder)
    try:
        started = time.monotonic()
        pipeline.start()
        ready_s = time.monotonic() - started
        arrival = arrival_s(pipeline)
        result = {
            "cpus": os.cpu_count(),
            "load_average_1min": os.getloadavg()[0],
            "ready_s": round(ready_s, 1),
            "line_to_search_s": {
                "median": round(statistics.median(arrival), 2),
                "max": round(max(arrival), 2),
                "lines": len(arrival),
            },
            "throughput": throughput(pipeline, options.lines),
            "found_after_a_minute_without_gateway_s": round(outage_s(pipeline), 1),
            "kills": kills(pipeline, options.rounds, options.lines_a_round, options.kills),
        }
        print(json.dumps(result, indent=2))
    finally:
        pipeline.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
