"""Measure how soon a fault is a message, on both ways that an alert can take.

    python benchmarks/alerting.py [--faults 60] [--seed 7] [--json]

One log line after another is written, and both ways read the same file at the same time: agent,
gateway, Elasticsearch and ElastAlert2 on the one, ``ddcolor-obs watch`` on the other, each with a
notifier and a chat robot of its own. The time runs from the line's write until the robot has the
message. Needs the tool chain (``ddcolor-obs setup``); everything runs on free ports.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from ddcolor_operations.receivers import WeComRobot
from tests.support.alerting import Alerting
from tests.support.elastic import Pipeline, eventually
from tests.support.faults import Fault, copies, references
from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import places
from tests.support.watching import Watching

LOG_NAME = "benchmark"
#: What each way shall keep to: percentile -> seconds.
AIMS = {"elasticsearch": {"p50": 4.0, "max": 10.0}, "watcher": {"p95": 0.3}}
#: Pauses between faults (s): random, so that they meet no clock of the chain at one place.
PAUSE_S = (0.4, 1.6)
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Way:
    """One way's robot, which has what went that way."""

    name: str
    robot: WeComRobot

    def seconds(self, written: dict[Fault, float]) -> list[float]:
        """Return the seconds from each fault's line to its first message, once all are there."""
        eventually(
            lambda: len(copies(self.robot.received, written)),
            lambda found: found == len(written),
            timeout_s=PATIENCE_S,
        )
        arrived: dict[str, float] = {}
        for message in self.robot.received:
            for reference in references(message):
                arrived.setdefault(reference, message.received_at)
        return [arrived[fault.reference] - at for fault, at in written.items()]


@contextlib.contextmanager
def notified(folder: Path, name: str) -> Iterator[tuple[NotifierProcess, Way]]:
    """Run a notifier whose one robot takes every alert as a message of its own."""
    folder.mkdir()
    with places(folder, per_minute=6000) as all_places:
        config = all_places.config(
            digest={"from": 500}, routing={"levels": {2: ["wecom"], 3: ["wecom"]}}
        )
        notifier = NotifierProcess(config, free_port())
        notifier.start()
        try:
            yield notifier, Way(name, all_places.wecom)
        finally:
            notifier.stop()


@contextlib.contextmanager
def both_ways(folder: Path) -> Iterator[tuple[Pipeline, list[Way]]]:
    """Run the whole chain and the watcher on the log folder of the same pipeline."""
    pipeline = Pipeline(folder / "pipeline")
    log_file = pipeline.log_dir / f"{LOG_NAME}.jsonl"
    log_file.touch()
    with (
        notified(folder / "long", "elasticsearch") as (long, long_way),
        notified(folder / "short", "watcher") as (short, short_way),
        contextlib.ExitStack() as stack,
    ):
        stack.callback(pipeline.stop)
        pipeline.start()
        alerting = Alerting(pipeline.url, long, folder / "alerting")
        stack.callback(alerting.stop)
        alerting.start()
        watching = Watching([log_file], short, folder / "watching")
        stack.callback(watching.stop)
        watching.start()
        yield pipeline, [long_way, short_way]


def write(pipeline: Pipeline, faults: Sequence[Fault], seed: int) -> dict[Fault, float]:
    """Write the faults' lines with pauses between them; return when each was written."""
    pauses = random.Random(seed)  # noqa: S311 - the same run again
    written = {}
    for fault in faults:
        time.sleep(pauses.uniform(*PAUSE_S))
        pipeline.write_lines([fault.line()], LOG_NAME)
        written[fault] = time.time()
    return written


def measured(way: Way, written: dict[Fault, float]) -> dict[str, Any]:
    """Return one way's figures (s), and whether each aim was met."""
    seconds = way.seconds(written)
    figures = {
        "p50": statistics.median(seconds),
        "p95": statistics.quantiles(seconds, n=20)[18],
        "max": max(seconds),
    }
    return {
        "faults": len(written),
        "messages": copies(way.robot.received, written).total(),
        "seconds": {name: round(value, 3) for name, value in figures.items()},
        "aims_met": {name: figures[name] <= aim for name, aim in AIMS[way.name].items()},
    }


def measure(count: int, seed: int) -> dict[str, Any]:
    """Run the measurement and return all its figures."""
    # Not below a closed folder: as root, Elasticsearch runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="ddcolor-benchmark-"))
    folder.chmod(0o755)
    try:
        with both_ways(folder) as (pipeline, ways):
            # The first document of all creates the data stream; it is not measured.
            warm = write(pipeline, [Fault("warm-up", 0)], seed)
            for way in ways:
                way.seconds(warm)
            written = write(pipeline, [Fault("fault", number) for number in range(count)], seed)
            results = {way.name: measured(way, written) for way in ways}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_average_1min": round(os.getloadavg()[0], 1),
        **results,
        "elasticsearch_to_watcher": {
            name: round(value / results["watcher"]["seconds"][name], 1)
            for name, value in results["elasticsearch"]["seconds"].items()
        },
    }


def tell(result: dict[str, Any]) -> None:
    """Print the figures as a table."""
    print(
        f"Python {result['python']}, {result['cpus']} CPUs,"
        f" load average {result['load_average_1min']}"
    )
    for name, aims in AIMS.items():
        figures = result[name]
        spread = ", ".join(f"{key} {value:.2f} s" for key, value in figures["seconds"].items())
        kept = ", ".join(
            f"{key} <= {aim:g} s {'met' if figures['aims_met'][key] else 'MISSED'}"
            for key, aim in aims.items()
        )
        print(
            f"{name}: {figures['faults']} faults, {figures['messages']} messages:"
            f" {spread} (aims: {kept})"
        )
    ratio = result["elasticsearch_to_watcher"]
    print("Elasticsearch takes " + ", ".join(f"{v:g} times at {k}" for k, v in ratio.items()))


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=60, help="lines to write, at least 20")
    parser.add_argument("--seed", type=int, default=7, help="for the pauses between the lines")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.faults < 20:
        parser.error("--faults: a 95th percentile of fewer than 20 says nothing")
    result = measure(options.faults, options.seed)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        tell(result)


if __name__ == "__main__":
    main()
