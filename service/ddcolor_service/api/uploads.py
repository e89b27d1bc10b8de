"""Uploads: read them with limits, decode them to see that they can be, store them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web

from ddcolor_service.api.answers import fault_response, json_response, refusal
from ddcolor_service.api.keys import service_of
from ddcolor_service.errors import (
    DecodeFailedError,
    ImageTooLargeError,
    RequestRefusedError,
    ServiceFaultError,
)
from ddcolor_service.folders import folder_type, store_upload
from ddcolor_service.images import check
from ddcolor_service.service import Service

_MAX_PARTS = 8
_MAX_FIELD_BYTES = 4096
_CHUNK = 256 * 1024
_FORM_TIMEOUT_S = 600.0


class Slots:
    """How many uploads are worked on at once: each holds its file in memory.

    Decoding takes memory many times the file's size, so fewer may do that.
    """

    def __init__(self) -> None:
        self.uploads = asyncio.Semaphore(32)
        self.decoders = asyncio.Semaphore(2)


SLOTS: web.AppKey[Slots] = web.AppKey("slots", Slots)


@dataclass(slots=True)
class _Form:
    filename: str | None = None
    data: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)


async def post_image(request: web.Request) -> web.Response:
    """Take one photo. A photo that cannot be decoded is refused here, not later in a prompt."""
    service = service_of(request)
    recorder = service.telemetry.recorder
    try:
        stored = await _take(request, service)
    except ServiceFaultError as error:
        recorder.upload_rejected(kind=error.comfyui_error_kind, reason=str(error))
        status = 413 if isinstance(error, ImageTooLargeError) else 400
        return fault_response(error, status=status)
    except RequestRefusedError as error:
        recorder.upload_rejected(kind=error.kind, reason=error.message)
        return refusal(error)
    except MemoryError as error:
        recorder.upload_rejected(kind="image_too_large", reason="no memory to decode it")
        return fault_response(
            ImageTooLargeError(str(error) or "no memory to decode it"), status=413
        )
    return json_response(stored)


async def _take(request: web.Request, service: Service) -> dict[str, str]:
    """Read, decode and store the photo; return ComfyUI's reference to it."""
    slots = request.app[SLOTS]
    if slots.uploads.locked():
        raise RequestRefusedError("Too many uploads at once; wait a moment", status=429)
    async with slots.uploads:
        return await _store(request, service, slots.decoders)


async def _store(
    request: web.Request, service: Service, decoders: asyncio.Semaphore
) -> dict[str, str]:
    form = await _read_form(request, service.settings.max_upload_bytes)
    if form.filename is None:
        raise RequestRefusedError("The form has no file in its field 'image'")
    kind = folder_type(form.fields.get("type", "input"))
    subfolder = form.fields.get("subfolder", "").strip("/")
    path = service.folders.resolve(form.filename, kind, subfolder)
    overwrite = form.fields.get("overwrite", "").lower() in ("true", "1")
    async with decoders:
        await asyncio.to_thread(check, form.data, max_pixels=service.settings.max_pixels)
    stored = await asyncio.to_thread(store_upload, form.data, path, overwrite=overwrite)
    return {"name": stored.name, "subfolder": subfolder, "type": kind}


async def _read_form(request: web.Request, limit: int) -> _Form:
    """Read the multipart form; nothing is trusted, nothing is read beyond the limit."""
    if not request.content_type.startswith("multipart/"):
        raise RequestRefusedError(
            "The photo must come as a multipart form", status=415, kind="decode_failed"
        )
    if (request.content_length or 0) > limit + 64 * 1024:
        raise ImageTooLargeError(f"more than {limit} bytes are not taken")
    try:
        async with asyncio.timeout(_FORM_TIMEOUT_S):
            return await _read_parts(request, limit)
    except TimeoutError:
        raise RequestRefusedError("The upload takes too long", status=408) from None
    except (RequestRefusedError, ServiceFaultError, ConnectionError):
        raise
    except Exception as error:  # aiohttp's parser raises many types on broken forms
        raise RequestRefusedError(
            "The form is broken or ends early", details=type(error).__name__, kind="image_truncated"
        ) from error


async def _read_parts(request: web.Request, limit: int) -> _Form:
    form = _Form()
    reader = await request.multipart()
    for _ in range(_MAX_PARTS):
        part = await reader.next()
        if part is None:
            return form
        if not isinstance(part, BodyPartReader):
            raise RequestRefusedError("A form inside a form is not taken")
        await _read_part(form, part, limit)
    raise RequestRefusedError("The form has too many parts")


async def _read_part(form: _Form, part: BodyPartReader, limit: int) -> None:
    if part.filename is not None or part.name == "image":
        if form.filename is not None:
            raise RequestRefusedError("One photo at a time: the form has several files")
        form.data = await _read_limited(part, limit)
        form.filename = part.filename or ""
        if not form.data:
            raise DecodeFailedError("the file is empty")
        return
    data = await _read_limited(part, _MAX_FIELD_BYTES)
    if part.name:
        form.fields[part.name] = data.decode("utf-8")


async def _read_limited(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise ImageTooLargeError(f"more than {limit} bytes are not taken")
    return bytes(data)


def add_routes(app: web.Application, prefix: str) -> None:
    """Add these routes below ``prefix``."""
    app.router.add_post(f"{prefix}/upload/image", post_image)
