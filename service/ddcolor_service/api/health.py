"""``/healthz``: the process answers. ``/readyz``: it can restore a photo now."""

from __future__ import annotations

import asyncio
import shutil

from aiohttp import web

from ddcolor_service.api.answers import json_response
from ddcolor_service.api.keys import service_of
from ddcolor_service.service import Service

# A node that runs this many times longer than a slow one, without a sign of life, hangs.
_HANGS_AFTER = 10
_HANGS_AFTER_AT_LEAST_S = 60.0


async def get_healthz(request: web.Request) -> web.Response:
    """Answer 200 while the process answers at all."""
    del request
    return json_response({"status": "ok"})


async def get_readyz(request: web.Request) -> web.Response:
    """Answer 200, or 503 with what is wrong."""
    checks = await asyncio.to_thread(_checks, service_of(request))
    ready = all(reason is None for reason in checks.values())
    shown = {name: "ok" if reason is None else reason for name, reason in checks.items()}
    return json_response(
        {"status": "ready" if ready else "not ready", "checks": shown}, status=200 if ready else 503
    )


def _checks(service: Service) -> dict[str, str | None]:
    """Return for each check what is wrong, None if nothing is."""
    settings = service.settings
    free = shutil.disk_usage(service.folders.root).free
    patience = max(_HANGS_AFTER * settings.time_limit_s, _HANGS_AFTER_AT_LEAST_S)
    silence = service.worker.silent_for()
    queue = None
    if service.queue.closed:
        queue = "the service is stopping"
    elif silence > patience:
        queue = f"the running prompt has given no sign of life for {silence:.0f} s"
    return {
        "model": None if service.models.usable() else "no checkpoint is there that can be loaded",
        "worker": None if service.worker.alive() else "the worker does not run",
        "queue": queue,
        "disk": None if free >= settings.min_free_disk_bytes else "the disk is nearly full",
    }


def add_routes(app: web.Application, prefix: str) -> None:
    """Add these routes below ``prefix``."""
    app.router.add_get(f"{prefix}/healthz", get_healthz)
    app.router.add_get(f"{prefix}/readyz", get_readyz)
