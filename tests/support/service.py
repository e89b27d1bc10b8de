"""A service in this process for tests: stub models, real everything else."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
from aiohttp import ClientWebSocketResponse, FormData
from aiohttp.test_utils import TestClient, TestServer
from numpy.typing import NDArray
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from PIL import Image

from comfyui_telemetry import configure
from ddcolor_service.api.app import build_app
from ddcolor_service.checkpoints import ModelNotLoaded
from ddcolor_service.models import DEMO_NAME, OFFICIAL, ModelRegistry
from ddcolor_service.service import Service, build_service
from ddcolor_service.settings import Settings

ADMIN_TOKEN = "0123456789abcdef-admin"
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
Floats = NDArray[np.float32]


@dataclass(slots=True)
class StubModel:
    """Stands in for a loaded network: tints the photo, or does what the test wants."""

    name: str = DEMO_NAME
    variant: str = "demo"
    sha256: str = "a" * 64
    load_seconds: float = 0.01
    device: str = "cpu"
    loaded_now: bool = False
    problem: str | None = None
    work: Callable[[Floats, int], Floats] | None = None
    sizes: list[int] = field(default_factory=list)

    def colorize(
        self, image: Floats, input_size: int, *, check: Callable[[], None] | None = None
    ) -> Floats:
        """Tint ``image``."""
        if check is not None:
            check()
        self.sizes.append(input_size)
        if self.work is not None:
            return self.work(image, input_size)
        return (image * np.array([1.0, 0.9, 0.7], np.float32)).astype(np.float32)

    def peak_device_bytes(self) -> int | None:
        """Tell nothing, as on a CPU."""
        return None


class StubModels:
    """Stands in for the model registry; only the demo checkpoint is there."""

    def __init__(self) -> None:
        self.device = "cpu"
        self.model = StubModel()
        self.in_memory = False
        self.unloads = 0

    def names(self) -> list[str]:
        """Return every name."""
        return [*OFFICIAL, DEMO_NAME]

    def available(self) -> list[str]:
        """Return the names whose file is there."""
        return [DEMO_NAME]

    def usable(self) -> list[str]:
        """Return the names that can be loaded."""
        return self.available()

    def state_of(self, name: str) -> str:
        """Return the same for ever: the stub has no file."""
        return name

    def is_current(self, name: str) -> bool:
        """Say whether the stub was asked for already."""
        return self.in_memory and name == DEMO_NAME

    def loaded(self) -> list[StubModel]:
        """Return what is in memory."""
        return [self.model] if self.in_memory else []

    def get(self, name: str) -> StubModel:
        """Return the stub, or say that the file is missing."""
        if name != DEMO_NAME:
            raise ModelNotLoaded(name, "no such file in the model folders", "Put it there")
        self.model.loaded_now = not self.in_memory
        self.in_memory = True
        return self.model

    def reload(self, name: str) -> StubModel:
        """Load again."""
        return self.get(name)

    def unload(self, name: str | None = None) -> list[str]:
        """Forget the stub."""
        self.unloads += 1
        self.in_memory = False
        return [name or DEMO_NAME]


@dataclass(slots=True)
class Harness:
    """A running service with a client, its stub models and what it logged."""

    client: TestClient[Any, Any]
    service: Service
    models: StubModels
    log_file: Path
    spans: InMemorySpanExporter

    async def upload(
        self, data: bytes, name: str = "photo.png", **fields: str
    ) -> tuple[int, dict[str, Any]]:
        """Upload a file; return status and JSON."""
        form = FormData(quote_fields=False)  # as browsers do: names in plain UTF-8
        form.add_field("image", data, filename=name, content_type="application/octet-stream")
        for key, value in fields.items():
            form.add_field(key, value)
        response = await self.client.post("/upload/image", data=form)
        return response.status, await response.json()

    async def post(self, path: str, body: Any, **options: Any) -> tuple[int, Any]:
        """POST JSON; return status and JSON (None for an empty answer)."""
        response = await self.client.post(path, json=body, **options)
        text = await response.text()
        return response.status, orjson.loads(text) if text else None

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """GET JSON; return status and JSON."""
        response = await self.client.get(path, **options)
        return response.status, await response.json()

    async def queue(self, prompt: dict[str, Any], **body: Any) -> str:
        """Queue a prompt that must be accepted; return its id."""
        status, answer = await self.post("/prompt", {"prompt": prompt, **body})
        assert status == 200, answer
        return str(answer["prompt_id"])

    async def finished(self, prompt_id: str) -> dict[str, Any]:
        """Wait until a prompt has ended; return its history entry."""
        async with asyncio.timeout(30):
            while True:
                _, history = await self.get(f"/history/{prompt_id}")
                if prompt_id in history:
                    return cast("dict[str, Any]", history[prompt_id])
                await asyncio.sleep(0.01)

    async def run(self, prompt: dict[str, Any], **body: Any) -> dict[str, Any]:
        """Queue a prompt and wait for its end; return its history entry."""
        return await self.finished(await self.queue(prompt, **body))

    async def running(self, prompt_id: str) -> None:
        """Wait until a prompt runs and has met the slow_inference that was armed for it."""

        def met() -> bool:
            running, _ = self.service.queue.snapshot()
            armed = [fault.kind for fault in self.service.faults.armed()]
            return prompt_id in [job.prompt_id for job in running] and (
                "slow_inference" not in armed
            )

        await eventually(met)

    async def arm(self, kind: str, **options: Any) -> None:
        """Arm a fault."""
        status, answer = await self.post("/admin/faults", {"kind": kind, **options}, headers=ADMIN)
        assert status == 200, answer

    def records(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return what was logged so far, one record a line, or those of one event."""
        text = self.log_file.read_bytes() if self.log_file.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]  # the last line may be half written
        rows = [orjson.loads(line) for line in whole.splitlines()]
        return [row for row in rows if event is None or row.get("event.name") == event]

    async def record(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until ``count`` records of an event are in the log file; return them."""
        await eventually(lambda: len(self.records(event)) >= count)
        return self.records(event)

    def span(self, name: str) -> ReadableSpan:
        """Return the latest finished span of ``name``."""
        return [s for s in self.spans.get_finished_spans() if s.name == name][-1]


@asynccontextmanager
async def running_service(
    state: Path, registry: ModelRegistry | None = None, **settings: Any
) -> AsyncIterator[Harness]:
    """Run a service below ``state`` until the block ends, with ``registry`` or stub models."""
    log_file = state / "service.jsonl"
    telemetry = configure(
        "ddcolor-service-test",
        log_file=log_file,
        log_stdout=False,
        traces=False,
        metrics=False,
        service_heartbeat_s=0,
        time_limit_s=settings.get("time_limit_s", 30.0),
    )
    spans = InMemorySpanExporter()
    telemetry.tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    models = StubModels()
    options = {"admin_token": ADMIN_TOKEN, "fault_injection": True, **settings}
    service = build_service(
        Settings(state=state / "data", **options),
        telemetry,
        registry or cast("ModelRegistry", models),
    )
    server = TestServer(build_app(service))
    client = TestClient(server)
    try:
        await server.start_server(access_log=None)  # as in __main__: it holds addresses
        await client.start_server()
        yield Harness(client, service, models, log_file, spans)
    finally:
        await client.close()
        await asyncio.to_thread(telemetry.shutdown)


async def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until ``condition`` holds; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never came true"
        await asyncio.sleep(0.01)


def picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """Return a grey picture with some structure."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 8), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image | None = None, form: str = "PNG", **options: Any) -> bytes:
    """Return a picture's file."""
    buffer = io.BytesIO()
    (image or picture()).save(buffer, form, **options)
    return buffer.getvalue()


def workflow(
    image: str = "photo.png", size: int = 512, checkpoint: str = DEMO_NAME
) -> dict[str, Any]:
    """Return the workflow of one photo in API form."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {
            "class_type": "DDColor_Colorize",
            "inputs": {"image": ["1", 0], "model_input_size": size, "checkpoint": checkpoint},
        },
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "DDColor"},
        },
    }


def error_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the ``execution_error`` of a history entry."""
    found = [data for event, data in entry["status"]["messages"] if event == "execution_error"]
    assert found, entry["status"]
    return cast("dict[str, Any]", found[0])


def notices_of(entry: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what a history entry's nodes noticed: name and values of each."""
    return [
        (data["notice"], data["values"])
        for event, data in entry["status"]["messages"]
        if event == "ddcolor_notice"
    ]


async def messages(
    socket: ClientWebSocketResponse, *, until: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Read messages up to the first one that ``until`` accepts."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not found or not until(found[-1]):
            found.append(await socket.receive_json())
    return found
