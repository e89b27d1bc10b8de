"""What the service costs a photo: ``python benchmarks/service.py [--size PX] [--json FILE]``.

The bare call of the network and the whole way of a prompt (HTTP, validation, queue, nodes, PNG,
telemetry, WebSocket) take turns in the same run on this machine; each number is the median. A
prompt that the cache answers is measured on its own. The client runs in the service's process, so
its own time counts as the service's. The network has the demo's size, with the demo's weights if
they are there.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import torch
from aiohttp import web
from PIL import Image

from comfyui_telemetry import configure
from ddcolor_service.api.app import build_app
from ddcolor_service.images import decode
from ddcolor_service.models import DEMO_NAME, LoadedModel, ModelRegistry
from ddcolor_service.network import DEMO, DDColor
from ddcolor_service.service import build_service
from ddcolor_service.settings import Settings

_WIDTH, _HEIGHT = 800, 600


def _photo(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (30, 40), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _workflow(image: str, size: int) -> dict[str, Any]:
    colorize = {"image": ["1", 0], "model_input_size": size, "checkpoint": DEMO_NAME}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "DDColor_Colorize", "inputs": colorize},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "B"}},
    }


def _registry(folder: Path) -> ModelRegistry:
    """Return a registry with weights of the demo's size."""
    registry = ModelRegistry([folder], "cpu")
    if DEMO_NAME not in registry.available():
        torch.manual_seed(0)
        torch.save(DDColor(DEMO).state_dict(), folder / DEMO_NAME)
    return registry


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

    async def prompt(self, image: str, size: int) -> float:
        """Return the seconds from POST /prompt to the message of its end."""
        started = time.perf_counter()
        body = {"prompt": _workflow(image, size), "client_id": "bench"}
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


def _bare(model: LoadedModel, photo: bytes, size: int) -> float:
    picture = decode(photo, max_pixels=_WIDTH * _HEIGHT).rgb
    started = time.perf_counter()
    model.colorize(picture, size)
    return time.perf_counter() - started


async def _measure(folder: Path, size: int, photos: int, cached: int) -> dict[str, Any]:
    telemetry = configure("benchmark", log_file=folder / "service.jsonl", log_stdout=False)
    models = folder / "models"
    models.mkdir()
    registry = _registry(models)
    service = build_service(Settings(state=folder / "data"), telemetry, registry)
    runner = web.AppRunner(build_app(service), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    model = registry.get(DEMO_NAME)
    bare, whole = [], []
    async with (
        aiohttp.ClientSession(base) as session,
        session.ws_connect("/ws?clientId=bench") as ws,
    ):
        client = _Client(session, ws)
        for number in range(photos + 1):  # the first round only warms up
            data, name = _photo(number), f"{number}.jpg"
            await client.upload(data, name)
            bare.append(_bare(model, data, size))
            whole.append(await client.prompt(name, size))
        again = [await client.prompt(f"{photos}.jpg", size) for _ in range(cached)]
    await runner.cleanup()
    telemetry.shutdown()
    added = statistics.median(w - b for w, b in zip(whole[1:], bare[1:], strict=True))
    middle = statistics.median(bare[1:])
    return {
        "machine": platform.machine(),
        "torch_threads": torch.get_num_threads(),
        "photo": f"{_WIDTH}x{_HEIGHT} JPEG",
        "model_input_size": size,
        "photos": photos,
        "network_ms": round(middle * 1e3, 2),
        "prompt_ms": round(statistics.median(whole[1:]) * 1e3, 2),
        "added_ms": round(added * 1e3, 2),
        "added_percent": round(100 * added / middle, 2),
        "cached_prompts": cached,
        "cached_prompt_ms": round(statistics.median(again) * 1e3, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what the service costs a photo.")
    parser.add_argument("--size", type=int, default=512, help="model_input_size in pixels")
    parser.add_argument("--photos", type=int, default=10, help="photos to restore")
    parser.add_argument("--cached", type=int, default=200, help="cached prompts to run")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_measure(Path(folder), chosen.size, chosen.photos, chosen.cached))
    for name, value in found.items():
        print(f"{name:>20}  {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
