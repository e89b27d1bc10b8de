"""Where handlers find the service."""

from aiohttp import web

from ddcolor_service.service import Service

SERVICE: web.AppKey[Service] = web.AppKey("service", Service)


def service_of(request: web.Request) -> Service:
    """Return the service that this request speaks to."""
    return request.app[SERVICE]
