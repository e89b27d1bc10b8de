"""``/view``: the pictures, and nothing else of the disk."""

from __future__ import annotations

import asyncio
import io
import mimetypes

from aiohttp import hdrs, web
from aiohttp.helpers import content_disposition_header
from PIL import Image

from ddcolor_service.api.keys import service_of
from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.folders import folder_type, read_regular

_MAX_FILE_BYTES = 1 << 30
_CHANNELS = ("rgba", "rgb", "a")
_PREVIEWS = {"webp": "WEBP", "jpeg": "JPEG"}


async def get_view(request: web.Request) -> web.Response:
    """Return a picture; ``preview=webp;80`` and ``channel=rgb|a`` change its form."""
    service = service_of(request)
    query = request.query
    name = query.get("filename", "")
    subfolder = query.get("subfolder", "").strip("/") if query.get("subfolder") else ""
    if query.get("subfolder", "").startswith("/"):
        raise RequestRefusedError("The subfolder leads out of its folder")
    kind = folder_type(query.get("type", "output"))
    path = service.folders.resolve(name, kind, subfolder)
    preview, channel = query.get("preview"), query.get("channel", "rgba")
    if channel not in _CHANNELS:
        raise RequestRefusedError(f"channel must be one of {', '.join(_CHANNELS)}")
    try:
        data = await asyncio.to_thread(read_regular, path, _MAX_FILE_BYTES)
    except (FileNotFoundError, ValueError):
        raise RequestRefusedError(
            "There is no such picture", error_type="not_found", status=404
        ) from None
    content_type = _image_type(path.name)
    if preview or channel != "rgba":
        data, content_type = await asyncio.to_thread(_converted, data, preview, channel)
    headers = {
        hdrs.CONTENT_DISPOSITION: content_disposition_header("inline", filename=path.name),
        "X-Content-Type-Options": "nosniff",
        # A picture opened by its address must not run as a page of this origin.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        hdrs.CACHE_CONTROL: "private, no-cache",
    }
    return web.Response(body=data, content_type=content_type, headers=headers)


def _image_type(name: str) -> str:
    guessed = mimetypes.guess_type(name)[0] or ""
    safe = guessed.startswith("image/") and guessed != "image/svg+xml"
    return guessed if safe else "application/octet-stream"


def _converted(data: bytes, preview: str | None, channel: str) -> tuple[bytes, str]:
    """Return the picture re-encoded, and its content type."""
    form, _, quality = (preview or "").partition(";")
    level = int(quality) if quality.isdecimal() and 1 <= int(quality) <= 100 else 90
    if preview and form not in _PREVIEWS:
        raise RequestRefusedError("preview must be webp or jpeg, such as webp;80")
    buffer = io.BytesIO()
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        if channel == "a":
            alpha = image.convert("RGBA").getchannel("A")
            image = Image.merge("RGBA", (alpha, alpha, alpha, alpha))
        elif channel == "rgb" or form == "jpeg":
            image = image.convert("RGB")
        if preview:
            image.save(buffer, _PREVIEWS[form], quality=level)
            return buffer.getvalue(), f"image/{form}"
        image.save(buffer, "PNG")
    except (OSError, ValueError) as error:
        raise RequestRefusedError("This file cannot be shown in that form") from error
    return buffer.getvalue(), "image/png"


def add_routes(app: web.Application, prefix: str) -> None:
    """Add these routes below ``prefix``."""
    app.router.add_get(f"{prefix}/view", get_view)
