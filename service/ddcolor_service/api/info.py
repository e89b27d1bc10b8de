"""What clients ask before they send a prompt: nodes, models, the machine."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from comfyui_telemetry import __version__
from ddcolor_service.api.answers import json_response
from ddcolor_service.api.keys import service_of
from ddcolor_service.node_types import NodeType
from ddcolor_service.service import Service

# The ComfyUI release whose API this is; clients compare it with what they need.
COMFYUI_API_VERSION = "0.3.64"


async def get_object_info(request: web.Request) -> web.Response:
    """Describe every node."""
    service = service_of(request)
    return json_response({name: _info(service, node) for name, node in service.types.items()})


async def get_one_object_info(request: web.Request) -> web.Response:
    """Describe one node; ``{}`` when it is unknown."""
    service = service_of(request)
    name = request.match_info["name"]
    node = service.types.get(name)
    return json_response({} if node is None else {name: _info(service, node)})


def _info(service: Service, node: NodeType) -> dict[str, Any]:
    """Return a node's entry; one whose INPUT_TYPES fails has an empty one, the others go on."""
    try:
        return node.info()
    except Exception as error:
        log = service.telemetry.logger("ddcolor_service.nodes")
        log.warning(f"Node {node.name} cannot say what inputs it takes", exc_info=error)
        return {"name": node.name, "input": {"required": {}}, "output": []}


async def get_models(request: web.Request) -> web.Response:
    """List the kinds of models."""
    del request
    return json_response(["ddcolor"])


async def get_models_of(request: web.Request) -> web.Response:
    """List the checkpoints of one kind."""
    if request.match_info["folder"] != "ddcolor":
        return json_response([], status=404)
    return json_response(service_of(request).models.available())


async def get_empty_list(request: web.Request) -> web.Response:
    """Answer what ComfyUI has and this service does not: embeddings, browser extensions."""
    del request
    return json_response([])


async def get_features(request: web.Request) -> web.Response:
    """Tell the features that newer clients ask for."""
    settings = service_of(request).settings
    return json_response(
        {"supports_preview_metadata": False, "max_upload_size": settings.max_upload_bytes}
    )


async def get_system_stats(request: web.Request) -> web.Response:
    """Describe the machine; nothing of its folders or its command line."""
    import torch

    service = service_of(request)
    total, free = memory()
    return json_response(
        {
            "system": {
                "os": platform.system().lower(),
                "ram_total": total,
                "ram_free": free,
                "comfyui_version": COMFYUI_API_VERSION,
                "ddcolor_service_version": __version__,
                "python_version": sys.version,
                "pytorch_version": torch.__version__,
                "embedded_python": False,
                "argv": ["ddcolor_service"],
            },
            "devices": [_device(str(service.models.device), total, free)],
        }
    )


def memory() -> tuple[int, int]:
    """Return the machine's total and available memory in bytes, zeros where that is not told."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0, 0
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if ":" in line}
    return found.get("MemTotal", 0), found.get("MemAvailable", 0)


def _device(name: str, total: int, free: int) -> dict[str, Any]:
    import torch

    device = torch.device(name)
    if device.type != "cuda":
        return {
            "name": device.type,
            "type": device.type,
            "index": device.index,
            "vram_total": total,
            "vram_free": free,
            "torch_vram_total": total,
            "torch_vram_free": free,
        }
    vram_free, vram_total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    return {
        "name": f"{name} {torch.cuda.get_device_name(device)}",
        "type": "cuda",
        "index": device.index,
        "vram_total": vram_total,
        "vram_free": vram_free,
        "torch_vram_total": reserved,
        "torch_vram_free": reserved - torch.cuda.memory_allocated(device),
    }


def add_routes(app: web.Application, prefix: str) -> None:
    """Add these routes below ``prefix``."""
    app.router.add_get(f"{prefix}/object_info", get_object_info)
    app.router.add_get(f"{prefix}/object_info/{{name}}", get_one_object_info)
    app.router.add_get(f"{prefix}/system_stats", get_system_stats)
    app.router.add_get(f"{prefix}/models", get_models)
    app.router.add_get(f"{prefix}/models/{{folder}}", get_models_of)
    app.router.add_get(f"{prefix}/embeddings", get_empty_list)
    app.router.add_get(f"{prefix}/extensions", get_empty_list)
    app.router.add_get(f"{prefix}/features", get_features)
