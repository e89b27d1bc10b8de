"""The parts of one service, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from comfyui_telemetry import Telemetry, semconv
from ddcolor_service.checkpoints import ModelNotLoaded
from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.executor import PromptExecutor
from ddcolor_service.faults import FaultInjector
from ddcolor_service.folders import Folders, folder_type
from ddcolor_service.hub import Hub
from ddcolor_service.models import ModelRegistry
from ddcolor_service.node_types import NodeType
from ddcolor_service.nodes import NodeServices, load_nodes
from ddcolor_service.prompt_queue import PromptQueue
from ddcolor_service.report import log_fault
from ddcolor_service.settings import Settings
from ddcolor_service.worker import Worker


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that the HTTP handlers need."""

    settings: Settings
    telemetry: Telemetry
    folders: Folders
    models: ModelRegistry
    faults: FaultInjector
    types: Mapping[str, NodeType]
    hub: Hub
    queue: PromptQueue
    worker: Worker


def build_service(
    settings: Settings, telemetry: Telemetry, models: ModelRegistry | None = None
) -> Service:
    """Make a service; nothing runs yet. Raises ``OSError`` when the folders cannot be made."""
    folders = Folders.create(settings.state)
    registry = models or ModelRegistry(settings.models, settings.device)
    registry.refused = partial(_say_refused, telemetry)
    faults = FaultInjector(enabled=settings.fault_injection)
    types = load_nodes(NodeServices(settings, folders, registry, faults, telemetry))
    hub = Hub()

    def changed() -> None:
        telemetry.recorder.queue_depth(queue.waiting())
        hub.publish("status", status_of(queue), None)

    queue = PromptQueue(
        max_waiting=settings.max_queue,
        max_history=settings.max_history,
        journal=folders.root / "queue.jsonl",
        changed=changed,
    )

    def unload() -> None:
        registry.unload()

    executor = PromptExecutor(
        types,
        telemetry,
        publish=hub.publish,
        files_of=lambda ui: files_of(folders, ui),
        free_memory=unload,
        node_hard_limit_s=settings.node_hard_limit_s,
    )
    worker = Worker(
        queue,
        executor,
        telemetry,
        hub.publish,
        unload=unload,
        prompt_hard_limit_s=settings.prompt_hard_limit_s,
    )
    return Service(settings, telemetry, folders, registry, faults, types, hub, queue, worker)


def _say_refused(telemetry: Telemetry, name: str, error: ModelNotLoaded) -> None:
    """Let somebody know of a checkpoint that was changed and cannot be used: work goes on."""
    log_fault(
        telemetry.logger("ddcolor_service.models"),
        error.comfyui_error_kind,
        f"the file changed and cannot be used, the earlier weights work on: {error}",
        event_name=semconv.EVENT_MODEL_REFUSED,
        attributes={semconv.MODEL_NAME: name},
    )


def status_of(queue: PromptQueue) -> dict[str, Any]:
    """Return the data of a ``status`` message."""
    return {"status": {"exec_info": {"queue_remaining": queue.remaining()}}}


def files_of(folders: Folders, ui: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the paths of the files that a node's ``ui`` names."""
    found: list[Path] = []
    for entries in ui.values():
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, Mapping) or "filename" not in entry:
                continue
            try:
                kind = folder_type(str(entry.get("type", "output")))
                subfolder = str(entry.get("subfolder", ""))
                found.append(folders.resolve(str(entry["filename"]), kind, subfolder))
            except RequestRefusedError:  # a third party's node shows a file of its own
                continue
    return tuple(found)
