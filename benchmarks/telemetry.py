"""What telemetry costs: ``python benchmarks/telemetry.py [--prompts N] [--json FILE]``.

All numbers come from this run, on this machine, against no telemetry in the same run. "worker CPU"
is the time that the calling thread itself was computing, "wall" what it waited as well; both are
the best of several rounds, so that other load on the machine shows as little as possible.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import orjson
import structlog

from comfyui_telemetry import Telemetry, configure, semconv
from comfyui_telemetry._vitals import resident_bytes
from comfyui_telemetry.comfyui import install

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
_NODES = 200
_PROMPT: dict[str, Any] = {
    str(number): {
        "class_type": "Node",
        "inputs": {"image": [str(number - 1), 0], "size": 512} if number else {},
    }
    for number in range(_NODES)
}
_LAST = str(_NODES - 1)


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
    for name, file_name in (
        ("stdlib JSON", "stdlib.jsonl"),
        ("bare structlog + orjson", "structlog.jsonl"),
        ("comfyui_telemetry", "bench.jsonl"),
    ):
        line = (folder / file_name).read_bytes().splitlines()[-1]
        report[f"log line, {name}: bytes"] = len(line)
        report[f"log line, {name}: lines a second"] = (
            1e6 / report[f"log line, {name}: µs worker CPU"]
        )


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


class _Graph:
    def get_node(self, node_id: str) -> Any:
        return _PROMPT[node_id]

    def get_parent_node_id(self, _: str) -> None:
        return None


class _Executor:
    """A ComfyUI whose nodes do nothing: it calls what its module has at that moment."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.status_messages: list[Any] = []

    def execute(self, prompt: Any, prompt_id: str, *_: Any) -> None:
        self.status_messages = [("execution_cached", {"nodes": [], "prompt_id": prompt_id})]
        if hasattr(self._module, "execute"):
            asyncio.run(self._run(prompt, prompt_id))
        else:
            self._module.recursive_execute(None, prompt, {}, _LAST, {}, set(), prompt_id, {}, {})

    async def _run(self, prompt: Any, prompt_id: str) -> None:
        graph, executed = _Graph(), set[str]()
        results = SimpleNamespace(execution_cache={})
        for node_id in prompt:
            await self._module.execute(
                None, graph, None, node_id, {}, executed, prompt_id, results, {}, {}, {}
            )


def _module(*, recursive: bool) -> Any:
    module: Any = ModuleType("execution")
    succeeded = SimpleNamespace(name="SUCCESS")

    async def execute(*args: Any) -> Any:
        args[5].add(args[3])
        return succeeded, None, None

    def recursive_execute(*args: Any) -> Any:
        _, prompt, outputs, node_id, *rest = args
        for value in prompt[node_id]["inputs"].values():
            if isinstance(value, list) and value[0] not in outputs:
                module.recursive_execute(None, prompt, outputs, value[0], *rest)
        outputs[node_id] = 1
        return True, None, None

    if recursive:
        module.recursive_execute = recursive_execute
    else:
        module.execute, module.ExecutionBlocker = execute, type("ExecutionBlocker", (), {})
    module.PromptExecutor = type("PromptExecutor", (_Executor,), {})
    return module


@contextmanager
def _comfyui(*, recursive: bool) -> Iterator[Callable[[], float]]:
    """Yield a function that runs a prompt and returns the worker's CPU seconds for one node.

    The shapes are those of 2026, or with ``recursive`` of before 2024-08.
    """
    module = sys.modules["execution"] = _module(recursive=recursive)
    executor = module.PromptExecutor(module)

    def run() -> float:
        start = time.thread_time()
        executor.execute(_PROMPT, "bench", {}, [_LAST])
        return (time.thread_time() - start) / _NODES

    try:
        yield run
    finally:
        del sys.modules["execution"]


def pack(folder: Path, report: dict[str, float]) -> None:
    """Measure what the pack for ComfyUI adds to a node, in the executors of two eras."""
    for name, recursive in (("execute", False), ("recursive_execute", True)):
        with _comfyui(recursive=recursive) as run, _telemetry(folder) as telemetry:
            without = min(run() for _ in range(_ROUNDS))
            hooks = install(telemetry, health_route=False, output_check="off")
            run()
            costs = []
            for _ in range(2 * _ROUNDS):
                costs.append(run())
                time.sleep(0.3)
            hooks.uninstall()
        report[f"pack, {name}: µs worker CPU a node"] = (min(costs) - without) * 1e6


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


@contextmanager
def _collecting() -> Iterator[Callable[[], float]]:
    """Yield a function that returns the seconds that this thread has collected garbage so far."""
    thread = threading.get_ident()
    began = total = 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal began, total
        if threading.get_ident() != thread:
            return
        if phase == "start":
            began = time.perf_counter()
        else:
            total += time.perf_counter() - began

    gc.callbacks.append(note)
    try:
        yield lambda: total
    finally:
        gc.callbacks.remove(note)


def everything_dead(folder: Path, report: dict[str, float]) -> None:
    """Measure the longest time a node was held up while collector and disk are gone.

    Python's garbage collection comes on whichever thread makes the object too many, so a prompt may
    meet it with and without telemetry; its time within a prompt is told apart.
    """
    (folder / "gone.jsonl").mkdir()
    longest = longest_without = longest_collecting = 0.0

    def compute() -> None:
        # About what a prompt's records cost, so that the machine's own pauses hit both alike.
        end = time.thread_time() + 0.0002
        while time.thread_time() < end:
            pass

    with (
        _telemetry(folder, log_file=folder / "gone.jsonl") as telemetry,
        _collecting() as collecting,
    ):
        end = time.perf_counter() + 6
        while time.perf_counter() < end:
            before, start = collecting(), time.perf_counter()
            with telemetry.recorder.prompt("p", node_count=1) as prompt, prompt.node("2", "Node"):
                pass
            took, collected = time.perf_counter() - start, collecting() - before
            longest = max(longest, took - collected)
            longest_collecting = max(longest_collecting, collected)
            time.sleep(0.001)
            start = time.perf_counter()
            compute()
            longest_without = max(longest_without, time.perf_counter() - start)
            time.sleep(0.001)
    report["all dead, longest prompt of no work: ms"] = longest * 1e3
    report["all dead, longest garbage collection within such a prompt: ms"] = (
        longest_collecting * 1e3
    )
    report["all dead, longest 0.2 ms of computing without telemetry: ms"] = longest_without * 1e3
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
    parser.add_argument(
        "--prompts", type=int, default=100_000, help="prompts for the memory growth"
    )
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = _DEAD
    report: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log_lines(folder, report)
        nodes(folder, report)
        pack(folder, report)
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
