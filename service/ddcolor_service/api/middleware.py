"""What every request passes: errors become JSON, strangers stay out, work is traced."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from yarl import URL

from comfyui_telemetry import extract_context, semconv
from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_service.api.access import bearer_matches, client_of, socket_token_matches
from ddcolor_service.api.answers import KIND, error_response, refusal
from ddcolor_service.api.keys import service_of
from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.report import log_fault
from ddcolor_service.settings import Networks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_MAX_BUCKETS = 10_000


def route_of(request: web.Request) -> str:
    """Return the route's pattern: unlike the path it holds nothing a client chose."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever leaves a handler into an answer that a person and a client understand."""
    try:
        return await handler(request)
    except RequestRefusedError as error:
        return refusal(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = error_response(
            "http_error", error.reason, kind="invalid_request", status=error.status
        )
        if hdrs.ALLOW in error.headers:
            response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return response
    except ConnectionError:
        raise  # the client left; there is nobody to answer
    except Exception as error:  # noqa: BLE001  the last line before the client
        _log_failure(request, error)
        return error_response(
            "internal_error", "The service failed to answer", kind="execution_error", status=500
        )


def _log_failure(request: web.Request, error: Exception) -> None:
    log_fault(
        service_of(request).telemetry.logger("ddcolor_service.http"),
        "execution_error",
        f"{request.method} {route_of(request)} failed ({type(error).__name__})",
        event_name=semconv.EVENT_REQUEST_FAILED,
        error=error,
        attributes={
            semconv.HTTP_REQUEST_METHOD: request.method,
            semconv.HTTP_ROUTE: route_of(request),
        },
    )


@web.middleware
async def spans(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give requests that change something a SERVER span under the caller's trace.

    Polls of the queue and the history would bury them, so reads have none.
    """
    if request.method in _SAFE:
        return await handler(request)
    route = route_of(request)
    tracer = service_of(request).telemetry.tracer
    parent = extract_context(request.headers)
    span = tracer.start_span(
        f"{request.method} {route}",
        context=parent,
        kind=SpanKind.SERVER,
        attributes={semconv.HTTP_REQUEST_METHOD: request.method, semconv.HTTP_ROUTE: route},
    )
    token = otel_context.attach(trace.set_span_in_context(span, parent))
    try:
        response = await handler(request)
        span.set_attribute(semconv.HTTP_RESPONSE_STATUS_CODE, response.status)
        if response.status >= 400:
            kind = response.get(KIND, str(response.status))
            span.set_attribute(semconv.ERROR_TYPE, kind)
            # A wrong request is the caller's affair; a photo that cannot be taken is one of ours.
            if response.status >= 500 or (kind in CATALOGUE and kind != "invalid_request"):
                span.set_status(StatusCode.ERROR)
        context = span.get_span_context()
        if context.is_valid and not response.prepared:
            # What a person can tell the operator when something went wrong.
            response.headers["X-Trace-Id"] = format(context.trace_id, "032x")
        return response
    finally:
        otel_context.detach(token)
        span.end()


@web.middleware
async def origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep other web sites out: a browser sends their pages' requests here with its Origin.

    CORS is off unless a setting names the one origin that may call.
    """
    allowed = service_of(request).settings.cors_origin
    origin = request.headers.get(hdrs.ORIGIN)
    foreign = origin is not None and not _same_host(origin, request.host)
    if foreign and origin != allowed:
        raise RequestRefusedError("Requests from other web sites are not taken", status=403)
    if foreign and request.method == hdrs.METH_OPTIONS:
        response: web.StreamResponse = web.Response(status=204)
    else:
        response = await handler(request)
    if foreign and origin is not None and not response.prepared:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, DELETE"
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Content-Type, Authorization"
        response.headers[hdrs.VARY] = hdrs.ORIGIN
    return response


def _same_host(origin: str, host: str) -> bool:
    try:
        url = URL(origin)
    except ValueError:
        return False
    return url.raw_authority.lower() == host.lower()


def _open_to_all(path: str) -> bool:
    """Say whether a path needs no token: probes, and the page, which asks for one itself."""
    return path in ("/", "/healthz", "/readyz") or path.startswith("/page/")


@web.middleware
async def tokens(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ask for the API token, if one is set. The admin routes check their own."""
    token = service_of(request).settings.api_token
    route = route_of(request).removeprefix("/api")
    if token is None or route.startswith("/admin/") or _open_to_all(request.path):
        return await handler(request)
    if not bearer_matches(request, token) and not (
        route == "/ws" and socket_token_matches(request, token)
    ):
        raise RequestRefusedError("The token is missing or wrong", status=401)
    return await handler(request)


def rate_limiter(per_second: float, proxies: Networks) -> Middleware:
    """Return a middleware that lets a client make ``per_second`` requests, in bursts of 5 s.

    A request that comes through one of ``proxies`` counts for the client that the proxy names.
    Addresses are kept in memory only, and only as long as there is room.
    """
    burst = max(1.0, per_second * 5.0)
    buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _open_to_all(request.path):
            return await handler(request)
        client = client_of(request, proxies)
        now = time.monotonic()
        left, since = buckets.pop(client, (burst, now))
        left = min(burst, left + (now - since) * per_second)
        buckets[client] = (left - 1.0 if left >= 1.0 else left, now)
        if len(buckets) > _MAX_BUCKETS:
            buckets.popitem(last=False)
        if left < 1.0:
            raise RequestRefusedError("Too many requests; wait a moment", status=429)
        return await handler(request)

    return limit
