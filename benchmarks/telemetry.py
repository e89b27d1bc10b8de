"""What telemetry costs: ``python benchmarks/telemetry.py [--prompts N] [--json FILE]``.

All numbers come from this run, on this machine, against no telemetry in the same run. "worker CPU"
is the time that the calling thread itself was computing, "wall" what it waited as well; both are
the best of several rounds, so that other load on the machine shows as little as possible.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import structlog

from comfyui_telemetry import Telemetry, configure, semconv
from comfyui_telemetry._vitals import resident_bytes

_ROUNDS = 7
_ATTRIBUTES: dict[str, Any] = {
    semconv.DEVICE: "cpu",
    semconv.IMAGE_WIDTH: 640,
    semconv.IMAGE_HEIGHT: 480,
    semconv.INFERENCE_DURATION: 2.13,
    semconv.MODEL_NAME: "ddcolor_modelscope.pth",
}
_MESSAGE = "Restored a photo of 640 x 480 in 2.13 s"
_DEAD = "http://127.0.0.1:9"


def _cost(work: Callable[[], object], calls: int) -> tuple[float, float]:
    """Return microseconds a call on the worker: CPU and wall, best of the rounds."""
    work()
    cpu, wall = [], []
    for _ in range(_ROUNDS):
        wall_start, cpu_start = time.perf_counter(), time.thread_time()
        for _ in range(calls):
            work()
        cpu.append((time.thread_time() - cpu_start) / calls)
        wall.append((time.perf_counter() - wall_start) / calls)
        # The background threads catch up outside of the measured time.
        time.sleep(0.5)
    return min(cpu) * 1e6, min(wall) * 1e6


@contextmanager
def _telemetry(folder: Path, **settings: Any) -> Iterator[Telemetry]:
    chosen = {"log_file": folder / "bench.jsonl", "log_stdout": False, **settings}
    telemetry = configure("benchmark", "0", **chosen)
    try:
        yield telemetry
    finally:
        telemetry.shutdown(1.0)


class _JsonFormatter(logging.Formatter):
    """What a service without this library would write."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "@timestamp": self.formatTime(record),
                "log.level": record.levelname.lower(),
                "message": record.getMessage(),
                "logger": record.name,
                **getattr(record, "attributes", {}),
            }
        )


def log_lines(folder: Path, report: dict[str, float]) -> None:
    """Measure a log line of five attributes: ours, bare structlog, stdlib JSON."""
    stdlib = logging.getLogger("benchmark.stdlib")
    handler = logging.FileHandler(folder / "stdlib.jsonl")
    handler.setFormatter(_JsonFormatter())
    stdlib.addHandler(handler)
    stdlib.propagate = False
    stdlib.setLevel(logging.INFO)
    extra = {"attributes": _ATTRIBUTES}
    with (folder / "structlog.jsonl").open("wb") as file:
        bare = structlog.wrap_logger(
            structlog.BytesLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(serializer=orjson.dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(20),
        ).bind()
        _put(report, "log line, stdlib JSON", lambda: stdlib.info(_MESSAGE, extra=extra))
        _put(
            report, "log line, bare structlog + orjson", lambda: bare.info(_MESSAGE, **_ATTRIBUTES)
        )
    handler.close()
    with _telemetry(folder, traces=False, metrics=False) as telemetry:
        ours = telemetry.logger("benchmark")
        _put(report, "log line, comfyui_telemetry", lambda: ours.info(_MESSAGE, **_ATTRIBUTES))
    line = (folder / "bench.jsonl").read_bytes().splitlines()[0]
    report["log line, comfyui_telemetry: bytes"] = len(line)


def nodes(folder: Path, report: dict[str, float]) -> None:
    """Measure a node with its span of eight attributes, two log lines and a measurement."""

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    def without() -> None:
        with nothing():
            pass

    _put(report, "node, no telemetry", without)
    with (
        _telemetry(folder) as telemetry,
        telemetry.recorder.prompt("bench", node_count=1) as prompt,
    ):

        def node() -> None:
            with prompt.node("2", "DDColor_Colorize") as record:
                record.set(**_ATTRIBUTES)

        _put(report, "node, span + log lines + metric", node, calls=1_000)


def prompts(folder: Path, report: dict[str, float], count: int) -> None:
    """Measure a prompt of one second with and without, and memory over many prompts."""

    def compute(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            sum(range(1000))

    def plain() -> None:
        for _ in range(3):
            compute(1 / 3)

    def timed(work: Callable[[], None]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    with _telemetry(folder) as telemetry:

        def recorded(prompt_id: str = "p") -> None:
            with telemetry.recorder.prompt(prompt_id, node_count=3) as prompt:
                for number in range(3):
                    with prompt.node(str(number), "Node"):
                        compute(1 / 3)

        pairs = [(timed(plain), timed(recorded)) for _ in range(5)]
        without = min(pair[0] for pair in pairs)
        with_it = min(pair[1] for pair in pairs)
        report["prompt of 1 s: change in percent"] = (with_it / without - 1) * 100

        def quick(number: int) -> None:
            recorder = telemetry.recorder
            with recorder.prompt(str(number), node_count=1) as prompt, prompt.node("2", "Node"):
                pass

        # No collector listens: first fill the queue of spans up to its bound.
        for number in range(10_000):
            quick(number)
        before = resident_bytes() or 0
        for number in range(count):
            quick(number)
        report[f"memory after {count} more prompts: MiB"] = (
            (resident_bytes() or 0) - before
        ) / 2**20


def everything_dead(folder: Path, report: dict[str, float]) -> None:
    """Measure the longest time a node was held up while collector and disk are gone."""
    (folder / "gone.jsonl").mkdir()
    longest = 0.0
    with _telemetry(folder, log_file=folder / "gone.jsonl") as telemetry:
        end = time.perf_counter() + 3
        while time.perf_counter() < end:
            start = time.perf_counter()
            with telemetry.recorder.prompt("p", node_count=1) as prompt, prompt.node("2", "Node"):
                pass
            longest = max(longest, time.perf_counter() - start)
            time.sleep(0.001)
    report["all dead, longest prompt of no work: ms"] = longest * 1e3
    report["all dead, records and spans counted as lost"] = sum(telemetry.dropped().values())


def _put(
    report: dict[str, float], name: str, work: Callable[[], object], calls: int = 5_000
) -> None:
    cpu, wall = _cost(work, calls)
    report[f"{name}: µs worker CPU"] = cpu
    report[f"{name}: µs wall"] = wall


def main() -> None:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=20_000, help="prompts for the memory growth")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = _DEAD
    report: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log_lines(folder, report)
        nodes(folder, report)
        prompts(folder, report, arguments.prompts)
        everything_dead(folder, report)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    )
    for line, value in report.items():
        print(f"{value:12.2f}  {line}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
