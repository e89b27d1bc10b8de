"""The web application: routes, middleware, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Middleware

from ddcolor_service.api import admin, health, info, middleware, prompts, socket, uploads, view
from ddcolor_service.api.keys import SERVICE
from ddcolor_service.page.routes import add_page
from ddcolor_service.service import Service

_TIDY_EVERY_S = 600.0


def build_app(service: Service) -> web.Application:
    """Return the application of ``service``; its worker runs while the application does."""
    settings = service.settings
    chain: list[Middleware] = [middleware.spans, middleware.errors, middleware.origins]
    if settings.rate_limit:
        chain.append(middleware.rate_limiter(settings.rate_limit, settings.trusted_proxies))
    chain.append(middleware.tokens)
    app = web.Application(middlewares=chain, client_max_size=settings.max_json_bytes)
    app[SERVICE] = service
    app[uploads.SLOTS] = uploads.Slots()
    for prefix in ("", "/api"):
        for module in (prompts, uploads, view, info, socket, admin):
            module.add_routes(app, prefix)
    health.add_routes(app, "")
    add_page(app)
    app.cleanup_ctx.append(_working)
    app.on_shutdown.append(_say_goodbye)
    return app


async def _working(app: web.Application) -> AsyncIterator[None]:
    """Run the worker and the tidying while the application runs."""
    service = app[SERVICE]
    service.hub.bind(asyncio.get_running_loop())
    await asyncio.to_thread(service.folders.clear_temp)
    service.worker.start()
    tidying = asyncio.create_task(_tidy(service))
    yield
    tidying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tidying
    await asyncio.to_thread(service.worker.stop, 0.0)


async def _say_goodbye(app: web.Application) -> None:
    await app[SERVICE].hub.close()


async def _tidy(service: Service) -> None:
    """Remove pictures that are older than the settings allow."""
    hours = service.settings.retention_hours
    log = service.telemetry.logger("ddcolor_service.retention")
    while hours:
        try:
            removed = await asyncio.to_thread(service.folders.remove_older_than, hours)
        except OSError as error:
            log.warning("Old pictures could not be removed", exc_info=error)
        else:
            if removed:
                log.info(f"Removed {removed} pictures older than {hours:g} hours")
        await asyncio.sleep(_TIDY_EVERY_S)
