"""What the service costs a photo: ``python benchmarks/service.py [--photos N] [--json FILE]``.

The bare call of the network and the whole way of a prompt (HTTP, validation, queue, nodes, picture
files, telemetry, WebSocket) take turns in the same run on this machine; each number is the median.
What is added is a prompt's time less that of the network within this very prompt, so that a busy
machine does not blur it. Reading the JPEG and writing the PNG are measured on their own and taken
off: no way of delivering a picture can do without them. A prompt that the cache answers shows the
service alone, by the clock and in processor time; by the clock it holds the wait until the disk has
the prompt, which is measured on its own as well.

Two networks at the size that the page proposes for people: the demo's, which is so quick that
everything beside it weighs, and the official tiny one with random weights, which is the least that
real restorations run. The service is a process of its own, as in production, and sends its spans
and metrics to a sink in this one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import numpy as np
import psutil
import torch
from aiohttp import web
from PIL import Image

from comfyui_telemetry import semconv
from ddcolor_service.images import decode
from ddcolor_service.models import DEMO_NAME, LoadedModel, ModelRegistry
from ddcolor_service.network import DEMO, TINY, DDColor, DDColorConfig
from ddcolor_service.nodes.save_image import SaveImage, encode

_WIDTH, _HEIGHT = 800, 600


class _Case(NamedTuple):
    """One network at one size (pixels)."""

    name: str
    checkpoint: str
    config: DDColorConfig
    size: int


_CASES = (
    _Case("demo", DEMO_NAME, DEMO, 512),
    _Case("tiny", "ddcolor_paper_tiny.pth", TINY, 512),
)


def _photo(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (30, 40), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _workflow(image: str, case: _Case) -> dict[str, Any]:
    colorize = {
        "image": ["1", 0],
        "model_input_size": case.size,
        "checkpoint": case.checkpoint,
    }
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "DDColor_Colorize", "inputs": colorize},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "B"}},
    }


def _registry(folder: Path) -> ModelRegistry:
    """Return a registry that has every case's checkpoint, with random weights if need be."""
    registry = ModelRegistry([folder], "cpu")
    for case in _CASES:
        if case.checkpoint not in registry.available():
            torch.manual_seed(0)
            torch.save(DDColor(case.config).state_dict(), folder / case.checkpoint)
    return registry


class _Times(NamedTuple):
    """Seconds of each photo: the bare network, reading and writing the files, the whole prompt."""

    network: list[float]
    files: list[float]
    prompt: list[float]


class _Client:
    """A client that knows a prompt's end from the WebSocket, as the page does."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse):
        self._session = session
        self._socket = socket

    async def upload(self, data: bytes, name: str) -> None:
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name)
        async with self._session.post("/upload/image", data=form) as response:
            response.raise_for_status()

    async def prompt(self, image: str, case: _Case) -> float:
        """Return the seconds from POST /prompt to the message of its end."""
        started = time.perf_counter()
        body = {"prompt": _workflow(image, case), "client_id": "bench"}
        async with self._session.post("/prompt", json=body) as response:
            response.raise_for_status()
        succeeded = False
        while True:
            message = await self._socket.receive_json()
            succeeded |= message["type"] == "execution_success"
            if message["type"] == "executing" and message["data"]["node"] is None:
                if not succeeded:
                    raise RuntimeError("the prompt failed; see the log lines above")
                return time.perf_counter() - started


def _bare(model: LoadedModel, photo: bytes, size: int) -> tuple[float, float]:
    """Return the seconds of the network alone, and those of reading and writing the files."""
    started = time.perf_counter()
    picture = decode(photo, max_pixels=_WIDTH * _HEIGHT).rgb
    decoded = time.perf_counter()
    restored = model.colorize(picture, size).astype(np.float32, copy=False)
    coloured = time.perf_counter()
    encode(restored, None, SaveImage.compress_level)
    ended = time.perf_counter()
    return coloured - decoded, decoded - started + ended - coloured


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
    """Serve ``app`` on a free port and yield its address."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _sink() -> web.Application:
    """Return what takes spans and metrics as a collector does, and throws them away."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/{signal}", take)
    return app


@asynccontextmanager
async def _service(folder: Path, sink: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run the service as users do, its files below ``folder``; yield its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ddcolor_service", "--port", str(port), "--device", "cpu"),
        *("--state", str(folder / "data"), "--models", str(folder / "models")),
        *("--log-file", str(folder / "service.jsonl"), "--no-log-stdout"),
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink},
    )
    base = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    if (await session.get(f"{base}/readyz")).ok:
                        break
                await asyncio.sleep(0.1)
            else:
                raise RuntimeError(
                    f"the service ended with {process.returncode}; it said why above"
                )
        yield base, psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _measure(folder: Path, photos: int, cached: int) -> dict[str, Any]:
    (folder / "models").mkdir()
    registry = _registry(folder / "models")
    async with (
        _serving(_sink()) as sink,
        _service(folder, sink) as (base, process),
        aiohttp.ClientSession(base) as session,
        session.ws_connect("/ws?clientId=bench") as ws,
    ):
        client = _Client(session, ws)
        times = {case: await _take_times(client, registry, case, photos) for case in _CASES}
        began = sum(process.cpu_times()[:2])
        again = [await client.prompt(f"{photos}.jpg", _CASES[-1]) for _ in range(cached)]
        busy = (sum(process.cpu_times()[:2]) - began) / cached
    inside = _inferences(folder / "service.jsonl")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "torch_threads": torch.get_num_threads(),
        "photo": f"{_WIDTH}x{_HEIGHT} JPEG",
        "photos": photos,
        **{case.name: _summary(case, times[case], inside[case.checkpoint]) for case in _CASES},
        "cached_prompts": cached,
        "cached_prompt_ms": _ms(again),
        "cached_prompt_cpu_ms": _ms([busy]),
        "disk_wait_ms": _ms(_disk_waits(folder / "probe")),
    }


def _disk_waits(path: Path) -> list[float]:
    """Return the seconds that the disk takes to keep a prompt's line, as its sender waits for."""
    waits = []
    for _ in range(50):
        with path.open("ab") as file:
            started = time.perf_counter()
            file.write(b"x" * 600)
            file.flush()
            os.fsync(file.fileno())
            waits.append(time.perf_counter() - started)
    return waits


async def _take_times(client: _Client, registry: ModelRegistry, case: _Case, photos: int) -> _Times:
    model = registry.get(case.checkpoint)
    times = _Times([], [], [])
    for number in range(photos + 1):  # the first one only warms up
        data, name = _photo(number), f"{number}.jpg"
        await client.upload(data, name)
        # In a thread: the sink of the spans must answer meanwhile.
        network, files = await asyncio.to_thread(_bare, model, data, case.size)
        times.network.append(network)
        times.files.append(files)
        times.prompt.append(await client.prompt(name, case))
    return times


def _inferences(log: Path) -> dict[str, list[float]]:
    """Return the seconds of the network within each prompt, by checkpoint, from the log lines."""
    found: dict[str, list[float]] = {}
    for line in log.read_text("utf-8").splitlines():
        record = json.loads(line)
        if record.get("event.name") == semconv.EVENT_NODE_FINISHED and (
            semconv.INFERENCE_DURATION in record
        ):
            seconds = found.setdefault(record[semconv.MODEL_NAME], [])
            seconds.append(record[semconv.INFERENCE_DURATION])
    return found


def _summary(case: _Case, times: _Times, inside: list[float]) -> dict[str, Any]:
    network, files, prompt = (seconds[1:] for seconds in times)
    added = [p - i for p, i in zip(prompt, inside[1:], strict=True)]
    service = [a - f for a, f in zip(added, files, strict=True)]
    bare = statistics.median(network)
    return {
        "model_input_size": case.size,
        "network_alone_ms": _ms(network),
        "network_in_prompt_ms": _ms(inside[1:]),
        "prompt_ms": _ms(prompt),
        "picture_files_ms": _ms(files),
        "service_and_telemetry_ms": _ms(service),
        "service_and_telemetry_percent": round(100 * statistics.median(service) / bare, 1),
        "with_picture_files_percent": round(100 * statistics.median(added) / bare, 1),
    }


def _ms(seconds: list[float]) -> float:
    return round(statistics.median(seconds) * 1e3, 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what the service costs a photo.")
    parser.add_argument("--photos", type=int, default=10, help="photos to restore per network")
    parser.add_argument("--cached", type=int, default=200, help="cached prompts to run")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_measure(Path(folder), chosen.photos, chosen.cached))
    for name, value in found.items():
        if not isinstance(value, dict):
            print(f"{name:>34}  {value}")
            continue
        print(f"{name}:")
        for inner, number in value.items():
            print(f"{inner:>34}  {number}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
