"""For the operator only: faults on purpose, and models."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ddcolor_service.api.access import bearer_matches
from ddcolor_service.api.answers import json_response
from ddcolor_service.api.bodies import read_object
from ddcolor_service.api.keys import service_of
from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.models import ModelNotLoaded
from ddcolor_service.service import Service


def require_admin(request: web.Request) -> Service:
    """Return the service if the request carries the admin token; else refuse it."""
    service = service_of(request)
    token = service.settings.admin_token
    if token is None:
        raise RequestRefusedError(
            "No admin token is set", details="Start with --admin-token-file", status=403
        )
    if not bearer_matches(request, token):
        raise RequestRefusedError("The admin token is missing or wrong", status=401)
    return service


def _require_faults(request: web.Request) -> Service:
    service = require_admin(request)
    if not service.faults.enabled:
        raise RequestRefusedError(
            "Fault injection is off", details="Start with --fault-injection", status=403
        )
    return service


async def get_faults(request: web.Request) -> web.Response:
    """List the armed faults."""
    return _faults(_require_faults(request))


async def post_faults(request: web.Request) -> web.Response:
    """Arm a fault: ``{"kind", "count": 1, "seconds": 31}``."""
    service = _require_faults(request)
    fault = service.faults.arm(await read_object(request))
    service.telemetry.logger("ddcolor_service.faults").warning(
        f"Fault injection: {fault.kind} is armed for {fault.count} times"
    )
    return _faults(service)


async def delete_faults(request: web.Request) -> web.Response:
    """Disarm everything."""
    service = _require_faults(request)
    service.faults.clear()
    return _faults(service)


def _faults(service: Service) -> web.Response:
    return json_response({"armed": [fault.as_json() for fault in service.faults.armed()]})


async def get_models(request: web.Request) -> web.Response:
    """List the checkpoints: which are there, which are loaded, with sha256 and device."""
    service = require_admin(request)
    loaded = {model.name: model for model in service.models.loaded()}
    there = set(await asyncio.to_thread(service.models.available))
    rows = [
        {
            "name": name,
            "available": name in there,
            "loaded": name in loaded,
            **(
                {
                    "variant": loaded[name].variant,
                    "sha256": loaded[name].sha256,
                    "device": loaded[name].device,
                    "load_seconds": round(loaded[name].load_seconds, 3),
                    "problem": loaded[name].problem,
                }
                if name in loaded
                else {}
            ),
        }
        for name in service.models.names()
    ]
    return json_response({"models": rows})


async def post_models_reload(request: web.Request) -> web.Response:
    """Read checkpoints again: ``{"name": n}``, or all that are loaded."""
    service = require_admin(request)
    body = await read_object(request)
    name = body.get("name")
    if name is not None and name not in service.models.names():
        raise RequestRefusedError("There is no checkpoint of this name", status=404)
    names = [name] if name is not None else [m.name for m in service.models.loaded()]
    reloaded = []
    for each in names:
        try:
            model = await asyncio.to_thread(service.models.reload, each)
        except ModelNotLoaded as error:
            raise RequestRefusedError(
                "The checkpoint could not be loaded; the earlier one, if any, works on",
                details=str(error),
                error_type="model_not_loaded",
                kind="model_not_loaded",
                status=409,
            ) from error
        reloaded.append(
            {"name": model.name, "sha256": model.sha256, "load_seconds": model.load_seconds}
        )
    return json_response({"reloaded": reloaded})


def add_routes(app: web.Application, prefix: str) -> None:
    """Add these routes below ``prefix``."""
    app.router.add_get(f"{prefix}/admin/faults", get_faults)
    app.router.add_post(f"{prefix}/admin/faults", post_faults)
    app.router.add_delete(f"{prefix}/admin/faults", delete_faults)
    app.router.add_get(f"{prefix}/admin/models", get_models)
    app.router.add_post(f"{prefix}/admin/models/reload", post_models_reload)
