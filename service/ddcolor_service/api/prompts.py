"""Prompts: queue them, look at them, stop them."""

from __future__ import annotations

import asyncio
import math
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from comfyui_telemetry import inject_context
from ddcolor_service.api.answers import json_response, refusal
from ddcolor_service.api.bodies import read_json, read_object
from ddcolor_service.api.keys import service_of
from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.prompt_queue import Job
from ddcolor_service.service import Service
from ddcolor_service.ui_format import api_form
from ddcolor_service.validation import PromptRefusedError, Validated, validate

_PROMPT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
# Clients of paid ComfyUI nodes send these along; nothing here may keep or show them.
_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


@dataclass(frozen=True, slots=True)
class _Order:
    """What a client asks for beside the prompt itself."""

    prompt_id: str
    extra_data: dict[str, Any]
    front: bool
    number: float | None


async def post_prompt(request: web.Request) -> web.Response:
    """Validate and queue a prompt."""
    service = service_of(request)
    prompt_id: str | None = None
    try:
        body = await read_json(request)
        order = _order(body)
        prompt_id = order.prompt_id
        # Third-party hooks run in here, and the disk is waited for: not on the loop.
        job, node_errors = await asyncio.to_thread(_reserve, service, order, body)
    except RequestRefusedError as error:
        refused = error.node_errors if isinstance(error, PromptRefusedError) else {}
        service.telemetry.recorder.prompt_rejected(
            error_type=error.error_type,
            message=error.message,
            prompt_id=prompt_id,
            node_errors=_nameless(refused),
        )
        return refusal(error, refused)
    # On the loop, which sends this answer before any message of the prompt: clients listen for
    # those only when they know its id. Recorded before the worker can take it.
    service.queue.admit(
        job,
        accepted=lambda waiting: service.telemetry.recorder.prompt_queued(
            job.prompt_id, number_waiting=waiting
        ),
    )
    return json_response(
        {
            "prompt_id": job.prompt_id,
            "number": job.shown_number,
            "node_errors": node_errors,
        }
    )


def _reserve(service: Service, order: _Order, body: dict[str, Any]) -> tuple[Job, dict[str, Any]]:
    """Validate a prompt and reserve its place; return its job and what is wrong with outputs."""
    raw = body.get("prompt", body if "nodes" in body else None)
    prompt = api_form(raw, service.types)
    validated = validate(prompt, service.types, max_nodes=service.settings.max_nodes)
    return _reserved(service, order, validated), validated.node_errors


def _reserved(service: Service, order: _Order, validated: Validated) -> Job:
    queue = service.queue
    job = Job(
        number=float(queue.number_for(front=order.front, number=order.number)),
        prompt_id=order.prompt_id,
        prompt=validated.prompt,
        extra_data=order.extra_data,
        outputs=validated.outputs,
    )
    inject_context(job.carrier)
    queue.reserve(job)
    return job


def _order(body: object) -> _Order:
    if not isinstance(body, dict):
        raise PromptRefusedError("no_prompt", "No prompt provided", "The body is no JSON object")
    prompt_id = body.get("prompt_id")
    if prompt_id is None:
        prompt_id = str(uuid.uuid4())
    elif not isinstance(prompt_id, str) or not _PROMPT_ID.fullmatch(prompt_id):
        raise PromptRefusedError("invalid_prompt", "prompt_id must be 1 to 64 plain characters")
    extra = body.get("extra_data")
    if extra is not None and not isinstance(extra, dict):
        raise PromptRefusedError("invalid_prompt", "extra_data must be an object")
    extra_data = {k: v for k, v in (extra or {}).items() if k not in _SECRETS}
    client_id = body.get("client_id")
    if client_id is not None:
        if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
            raise PromptRefusedError(
                "invalid_prompt", "client_id must be 1 to 128 plain characters"
            )
        extra_data["client_id"] = client_id
    extra_data["create_time"] = int(time.time() * 1000)
    return _Order(prompt_id, extra_data, body.get("front") is True, _number(body.get("number")))


def _number(value: object) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError  # noqa: TRY004, TRY301  one answer for all
        number = float(value)
        if not math.isfinite(number):
            raise ValueError  # noqa: TRY301  would break the order of the queue
    except (ValueError, OverflowError):
        raise PromptRefusedError("invalid_prompt", "number must be a finite number") from None
    return number


def _nameless(node_errors: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the errors without the values received: those may be a user's file names."""
    return {
        node_id: {
            "class_type": entry["class_type"],
            "errors": [
                {
                    "type": error["type"],
                    "message": error["message"],
                    "details": str(error["extra_info"].get("input_name", "")),
                }
                for error in entry["errors"]
            ],
        }
        for node_id, entry in node_errors.items()
    }


async def get_prompt(request: web.Request) -> web.Response:
    """Say how many prompts wait or run."""
    remaining = service_of(request).queue.remaining()
    return json_response({"exec_info": {"queue_remaining": remaining}})


async def get_queue(request: web.Request) -> web.Response:
    """List the running and the waiting prompts."""
    running, waiting = service_of(request).queue.snapshot()
    return json_response(
        {
            "queue_running": [job.as_list() for job in running],
            "queue_pending": [job.as_list() for job in waiting],
        }
    )


async def post_queue(request: web.Request) -> web.Response:
    """Remove waiting prompts: ``{"clear": true}`` or ``{"delete": [id, ...]}``."""
    body = await read_object(request)
    service = service_of(request)
    removed: list[str] = []
    if body.get("clear") is True:
        removed += service.queue.clear()
    if "delete" in body:
        removed += service.queue.delete(_ids(body["delete"]))
    for prompt_id in removed:
        service.telemetry.recorder.prompt_removed(prompt_id)
    return web.Response(status=200)


async def get_history(request: web.Request) -> web.Response:
    """List finished prompts."""
    max_items = _whole(request.query.get("max_items"), "max_items")
    offset = _whole(request.query.get("offset"), "offset")
    queue = service_of(request).queue
    return json_response(
        queue.history(max_items=max_items, offset=-1 if offset is None else offset)
    )


async def get_history_entry(request: web.Request) -> web.Response:
    """Show one finished prompt; ``{}`` when it is unknown or not finished."""
    return json_response(service_of(request).queue.history(request.match_info["prompt_id"]))


async def post_history(request: web.Request) -> web.Response:
    """Forget finished prompts: ``{"clear": true}`` or ``{"delete": [id, ...]}``."""
    body = await read_object(request)
    queue = service_of(request).queue
    if body.get("clear") is True:
        queue.forget()
    if "delete" in body:
        queue.forget(_ids(body["delete"]))
    return web.Response(status=200)


async def post_interrupt(request: web.Request) -> web.Response:
    """Stop the running prompt, or only if it is ``{"prompt_id": id}``."""
    body = await read_object(request)
    prompt_id = body.get("prompt_id")
    if prompt_id is not None and not isinstance(prompt_id, str):
        raise RequestRefusedError("prompt_id must be text")
    service_of(request).worker.interrupt(prompt_id)
    return web.Response(status=200)


async def post_free(request: web.Request) -> web.Response:
    """Free memory when the running prompt is done."""
    body = await read_object(request)
    service_of(request).worker.request_free(
        unload_models=body.get("unload_models") is True,
        free_memory=body.get("free_memory") is True,
    )
    return web.Response(status=200)


def _ids(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RequestRefusedError("delete must be a list of prompt ids")
    return value


def _whole(value: str | None, name: str) -> int | None:
    if value is None:
        return None
    if not value.lstrip("-").isdecimal() or len(value) > 9:
        raise RequestRefusedError(f"{name} must be a whole number")
    return max(-1, int(value))


def add_routes(app: web.Application, prefix: str) -> None:
    """Add these routes below ``prefix``."""
    app.router.add_post(f"{prefix}/prompt", post_prompt)
    app.router.add_get(f"{prefix}/prompt", get_prompt)
    app.router.add_get(f"{prefix}/queue", get_queue)
    app.router.add_post(f"{prefix}/queue", post_queue)
    app.router.add_get(f"{prefix}/history", get_history)
    app.router.add_get(f"{prefix}/history/{{prompt_id}}", get_history_entry)
    app.router.add_post(f"{prefix}/history", post_history)
    app.router.add_post(f"{prefix}/interrupt", post_interrupt)
    app.router.add_post(f"{prefix}/free", post_free)
