"""How many lines a second the log watcher takes: ``python benchmarks/watch.py [--prompts N]``.

The lines are those of a service that restores photos without a fault, as it writes them: its own
recorder makes them. Three numbers, each of the whole way up to there: reading (with the checks for
rotation), records (parsed, in the shape that they have in Elasticsearch), rules (evaluated by all
shipped rules, and the position on disk). The last is what a backlog is worked off with.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from comfyui_telemetry.testing import capture
from ddcolor_operations.toolchain import elastalert
from ddcolor_operations.watch.followed import Line
from ddcolor_operations.watch.follower import Follower
from ddcolor_operations.watch.records import Records
from ddcolor_operations.watch.sources import Sources

_NODES = ("LoadImage", "DDColor_Colorize", "SaveImage")


def write_log(file: Path, prompts: int) -> int:
    """Write what a service says of so many prompts; return the number of lines."""
    with capture(service_name="ddcolor-service", log_level="info", traces=False) as captured:
        recorder = captured.telemetry.recorder
        for number in range(prompts):
            prompt_id = f"prompt-{number}"
            recorder.prompt_queued(prompt_id, number_waiting=1)
            with recorder.prompt(prompt_id, node_count=len(_NODES)) as prompt:
                for at, class_type in enumerate(_NODES, 1):
                    with prompt.node(str(at), class_type):
                        pass
        lines = captured.lines
    file.write_bytes(b"".join(lines))
    return len(lines)


def read(file: Path, use: Callable[[Line], object]) -> float:
    """Follow the file to its end; return the seconds."""
    follower = Follower(Sources([str(file)]), _refuse)
    started = time.perf_counter()
    follower.begin(from_start=True)
    while follower.has_more():
        follower.look_if_cut()
        for line in follower.read():
            use(line)
    took = time.perf_counter() - started
    follower.close()
    return took


def _refuse(_path: Path, error: OSError) -> None:
    raise error


def through_the_rules(file: Path, folder: Path) -> float:
    """Run the command to the end of the file; return the seconds after its worker was ready."""
    log = folder / "watcher.jsonl"
    argv = [sys.executable, "-m", "ddcolor_operations", "watch", str(file), "--once"]
    argv += ["--from-start", "--memory", str(folder / "watch.sqlite"), "--log-file", str(log)]
    subprocess.run(argv, check=True)
    ended = time.time()
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    ready = next(r for r in records if r.get("event.name") == "ddcolor.alerting.started")
    return ended - _seconds(ready["@timestamp"])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def measure(prompts: int) -> dict[str, Any]:
    """Return the figures of one run."""
    elastalert.ensure(print)
    records = Records("json")
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "service.jsonl"
        count = write_log(file, prompts)
        seconds = {
            "reading": read(file, lambda _line: None),
            "records": read(file, lambda line: list(records.documents(line))),
            "rules": through_the_rules(file, Path(name)),
        }
    return {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_average_1min": round(os.getloadavg()[0], 1),
        "lines": count,
        "lines_per_second": {step: round(count / took) for step, took in seconds.items()},
    }


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=2000, help="photos that the log tells of")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    result = measure(options.prompts)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"Python {result['python']}, {result['cpus']} CPUs,"
        f" load average {result['load_average_1min']}; {result['lines']} lines"
    )
    for step, value in result["lines_per_second"].items():
        print(f"  {step:8} {value:>8,} lines/s")


if __name__ == "__main__":
    main()
