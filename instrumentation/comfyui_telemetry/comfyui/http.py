"""Hook on the HTTP server: the caller's trace, and the route ``/telemetry/health``.

Both have to be placed while ComfyUI imports its custom nodes; later its application is frozen.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from .. import semconv
from .._errors import message_of, qualified_name
from .._losses import Losses, guarded
from .._version import __version__
from ..catalogue import CATALOGUE
from ..propagation import extract_context
from ._hook import Hook
from ._patch import HookUnavailableError, comfy_module, drop_frame
from ._running import RunningPrompts
from .validation import SAID

if TYPE_CHECKING:
    from aiohttp import web

    from .._configure import Telemetry

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PROMPT_ROUTES = frozenset({"/prompt", "/api/prompt"})
HEALTH_ROUTE = "/telemetry/health"


def _server() -> Any:
    server = getattr(getattr(comfy_module("server"), "PromptServer", None), "instance", None)
    if server is None:
        raise HookUnavailableError("server.PromptServer has no instance")
    return server


class RequestHook(Hook):
    """Puts ``POST /prompt`` into the caller's trace (``traceparent``) as a SERVER span."""

    name = "requests"
    loss = "a caller's traceparent is not followed"
    _app: Any = None
    _middleware: Any = None

    def place(self) -> str:
        """Add the middleware; it is the innermost, so that it sees what the handler sees."""
        self._app = _server().app
        hook = self

        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not hook.active or request.method != "POST" or request.path not in _PROMPT_ROUTES:
                try:
                    return await handler(request)
                except BaseException as error:
                    drop_frame(error)
                    raise
            call = _Request(hook)
            call.begin(request)
            try:
                response = await handler(request)
            except BaseException as error:
                call.raised(error, is_graph=await _holds_graph(request))
                drop_frame(error)
                raise
            call.answered(response)
            return response

        # What aiohttp's decorator does; the library itself does not need aiohttp.
        middleware.__middleware_version__ = 1  # type: ignore[attr-defined]
        self._middleware = middleware
        try:
            self._app.middlewares.append(middleware)
        except RuntimeError as error:
            raise HookUnavailableError("the HTTP application is frozen already") from error
        return "PromptServer.app.middlewares"

    def remove(self) -> bool:
        """Take the middleware out; a frozen application keeps it, passing everything through."""
        self.active = False
        if self._app is None:
            return True
        try:
            self._app.middlewares.remove(self._middleware)
        except (RuntimeError, ValueError):
            return False
        return True


class _Request:
    """One ``POST /prompt``."""

    def __init__(self, hook: RequestHook) -> None:
        self._hook = hook
        self.losses: Losses = hook.losses
        self._span: trace.Span = trace.INVALID_SPAN
        self._token: Any = None
        self._attributes: dict[str, Any] = {}

    @guarded
    def begin(self, request: web.Request) -> None:
        parent = extract_context(request.headers)
        self._attributes = {
            semconv.HTTP_REQUEST_METHOD: request.method,
            semconv.HTTP_ROUTE: request.path,
        }
        self._span = self._hook.telemetry.tracer.start_span(
            f"{request.method} {request.path}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes=self._attributes,
            record_exception=False,
            set_status_on_exception=False,
        )
        self._token = otel_context.attach(trace.set_span_in_context(self._span, parent))
        SAID.set(False)

    @guarded
    def answered(self, response: web.StreamResponse) -> None:
        status = response.status
        if status == 400 and not SAID.get():
            self._rejected(response)
        self._span.set_attribute(semconv.HTTP_RESPONSE_STATUS_CODE, status)
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute(semconv.ERROR_TYPE, str(status))
        self._end()

    def _rejected(self, response: web.StreamResponse) -> None:
        """Record a refusal that was not the validation's, such as a body without a prompt."""
        answer = json.loads(getattr(response, "text", None) or "{}")
        error = answer.get("error") if isinstance(answer, dict) else None
        told = error if isinstance(error, dict) else {"message": error or "refused"}
        self._hook.recorder.prompt_rejected(
            error_type=str(told.get("type", "invalid_prompt")), message=str(told.get("message"))
        )

    @guarded
    def raised(self, error: BaseException, *, is_graph: bool) -> None:
        status = getattr(error, "status", 500)
        unreadable = isinstance(error, ValueError) or not is_graph
        if isinstance(error, Exception) and status >= 500 and unreadable and not SAID.get():
            # ComfyUI answers 500, in plain text, but it is the caller's fault.
            SAID.set(True)
            self._hook.recorder.prompt_rejected(
                error_type=qualified_name(type(error)),
                message=f"The body cannot be read: {message_of(error, 200)}",
            )
        if isinstance(error, Exception) and status >= 500 and not SAID.get():
            kind = CATALOGUE["execution_error"]
            self._hook.telemetry.logger(__name__).error(
                f"{kind.keyword}: POST {self._attributes[semconv.HTTP_ROUTE]} failed"
                f" ({type(error).__name__})",
                event_name=semconv.EVENT_REQUEST_FAILED,
                exc_info=error,
                **{
                    semconv.ERROR_KIND: kind.name,
                    semconv.ERROR_LEVEL: int(kind.level),
                    **self._attributes,
                },
            )
        if isinstance(error, Exception) and status >= 500:
            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute(semconv.ERROR_TYPE, qualified_name(type(error)))
        self._span.set_attribute(semconv.HTTP_RESPONSE_STATUS_CODE, int(status))
        self._end()

    def _end(self) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
            self._token = None
        self._span.end()


async def _holds_graph(request: web.Request) -> bool:
    """Say whether a request that failed had a graph of nodes for a body."""
    if not request.content.at_eof():
        # The handler did not come to read it, and waiting for a client is not ours.
        return True
    try:
        prompt = (await request.json())["prompt"]
        return all(isinstance(node["class_type"], str) for node in prompt.values())
    except Exception:  # noqa: BLE001 - whatever a client sends
        return False


class HealthHook(Hook):
    """Adds ``GET /telemetry/health`` (and ``/api/telemetry/health`` where ComfyUI has /api)."""

    name = "health"
    loss = f"there is no {HEALTH_ROUTE}"

    def __init__(
        self, telemetry: Telemetry, running: RunningPrompts, state: Callable[[], dict[str, Any]]
    ) -> None:
        super().__init__(telemetry, running)
        self._state = state
        self._routes: Any = None
        self._added: list[Any] = []

    def place(self) -> str:
        """Add the route to the server's table, from which the application is made."""
        self._routes = _server().routes
        before = list(self._routes)
        self._routes.get(HEALTH_ROUTE)(self._answer)
        self._added = [route for route in self._routes if route not in before]
        return f"GET {HEALTH_ROUTE}"

    def remove(self) -> bool:
        """Take the route out of the table; an application made of it answers 404 from then on."""
        self.active = False
        if self._routes is None:
            return True
        items = getattr(self._routes, "_items", None)
        if not isinstance(items, list):
            return False
        items[:] = [route for route in items if route not in self._added]
        return True

    async def _answer(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002
        from aiohttp import web

        if not self.active:
            return web.json_response({"error": "telemetry was taken out"}, status=404)
        body = {
            "status": "ok" if not sum(self.telemetry.dropped().values()) else "losing",
            "version": __version__,
            "dropped": self.telemetry.dropped(),
            "prompts_finished": self.running.finished,
            **self._state(),
        }
        return web.json_response(body)
