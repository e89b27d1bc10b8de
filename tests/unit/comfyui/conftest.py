"""A stand-in for a ComfyUI process of each era, with the hooks in it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from comfyui_telemetry.comfyui.hooks import Hooks, install
from comfyui_telemetry.testing import Captured, capture
from tests.unit.comfyui.eras.common import Server

ERAS = ("before_2024_08", "after_2024_08", "v0_3_64", "v0_33")
GRAPH_ERAS = ERAS[1:]
ASYNC_ERAS = ERAS[2:]


class Comfy:
    """One process: the module, an executor as its worker thread has, a queue."""

    def __init__(self, era: str) -> None:
        self.era = era
        self.module: Any = importlib.import_module(f"tests.unit.comfyui.eras.{era}")
        self.executor: Any = self.module.PromptExecutor(Server())
        self.queue: Any = self.module.PromptQueue(Server())
        instance = types.SimpleNamespace(app=web.Application(), routes=web.RouteTableDef())
        self.server = types.SimpleNamespace(PromptServer=types.SimpleNamespace(instance=instance))

    def run(self, prompt: Mapping[str, Any], prompt_id: str = "p-1") -> list[Any]:
        """Run a prompt as the worker thread does; return the executor's messages."""
        outputs = [node_id for node_id, node in prompt.items() if node["class_type"] == "Save"]
        self.executor.execute(prompt, prompt_id, {}, outputs)
        return [(name, data) for name, data in self.executor.status_messages]

    def validate(self, prompt: Mapping[str, Any]) -> Any:
        """Validate a prompt as the HTTP handler does."""
        function = self.module.validate_prompt
        if inspect.iscoroutinefunction(function):
            return asyncio.run(function("p-1", prompt, None))
        return function(prompt)


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """Name each era in turn; tests narrow it by parametrizing ``era`` themselves."""
    name: str = request.param
    return name


@pytest.fixture
def comfy(era: str, monkeypatch: pytest.MonkeyPatch) -> Comfy:
    """Return a process of ``era`` without hooks."""
    process = Comfy(era)
    monkeypatch.setitem(sys.modules, "execution", process.module)
    monkeypatch.setitem(sys.modules, "server", process.server)
    return process


@pytest.fixture
def captured() -> Iterator[Captured]:
    """Yield a telemetry that keeps everything in memory."""
    with capture(join=True) as found:
        yield found


@pytest.fixture
def hooks(comfy: Comfy, captured: Captured) -> Iterator[Hooks]:
    """Place the hooks in ``comfy`` and take them out afterwards."""
    placed = install(captured.telemetry, output_check="all")
    yield placed
    placed.uninstall()
