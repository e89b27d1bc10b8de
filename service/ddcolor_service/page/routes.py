"""Serve the upload page: ``/``, its files under ``/page/`` and the texts that it shares with us.

The files are read once at start-up and served from a fixed table, so no request path ever reaches
the file system. The Content-Security-Policy allows this origin alone and no inline code: whatever a
file name or an error message holds, it cannot run.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from comfyui_telemetry.catalogue import CATALOGUE, ErrorKind, Text
from ddcolor_service.advice import LARGE_PHOTO_PX, SIZE_ADVICE, SIZE_STEP

STATIC: Final = Path(__file__).with_name("static")

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Kept by the browser but asked for again each time: an upgrade shows at once, and costs no
    # more than a 304 otherwise.
    "Cache-Control": "no-cache",
}

# Python's table depends on the host's /etc/mime.types; a wrong type and nosniff stop a module.
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, suffix: str) -> _Asset:
        content_type = _TYPES.get(suffix) or mimetypes.types_map[suffix]
        return cls(body, content_type, hashlib.sha256(body).hexdigest()[:32])


def catalogue() -> dict[str, object]:
    """Return what the page takes from the fault catalogue and the size advice, as JSON holds it.

    ``faults`` maps a kind to its title, to what the sender of the photo can do and to whether the
    cause is the photo itself; ``sizes`` maps a scenario to its advice (pixels).
    """
    return {
        "faults": {name: _fault(kind) for name, kind in CATALOGUE.items()},
        "sizes": {
            scenario: {
                "smallest": advice.smallest,
                "largest": advice.largest,
                "default": advice.default,
            }
            for scenario, advice in SIZE_ADVICE.items()
        },
        "sizeStep": SIZE_STEP,
        "largePhotoPx": LARGE_PHOTO_PX,
    }


def _fault(kind: ErrorKind) -> dict[str, object]:
    return {
        "title": _text(kind.title),
        "action": _text(kind.user_action or kind.action),
        "users": kind.users,
    }


def _text(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _assets() -> dict[str, _Asset]:
    """Return every file of the page by its URL path."""
    found = {
        f"/page/{path.relative_to(STATIC).as_posix()}": _Asset.of(path.read_bytes(), path.suffix)
        for path in sorted(STATIC.rglob("*"))
        if path.is_file()
    }
    found["/"] = found.pop("/page/index.html")
    shared = json.dumps(catalogue(), ensure_ascii=False, separators=(",", ":"))
    found["/page/catalogue.json"] = _Asset.of(shared.encode(), ".json")
    return found


def _handler(asset: _Asset) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        if any(tag.value in (asset.etag, "*") for tag in known):
            response = web.Response(status=304, headers=_HEADERS)
        else:
            response = web.Response(
                body=asset.body,
                content_type=asset.content_type,
                charset="utf-8",
                headers=_HEADERS,
            )
        response.etag = asset.etag
        return response

    return serve


def add_page(app: web.Application) -> None:
    """Add ``GET`` and ``HEAD`` of ``/`` and ``/page/...`` to ``app``.

    The page holds nothing secret and asks for the bearer token itself, so an authenticating
    middleware has to let these paths through.
    """
    for path, asset in _assets().items():
        app.router.add_get(path, _handler(asset))
