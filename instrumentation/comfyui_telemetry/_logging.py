"""structlog loggers that write to the stream."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import structlog

from ._stream import LEVELS, LogStream

_LEVEL_OF_METHOD = {"exception": "error", "warn": "warning", "fatal": "critical", "msg": "info"}
_WRAPPERS = {name: structlog.make_filtering_bound_logger(number) for name, number in LEVELS.items()}


class _Emitter:
    """The logger underneath: structlog calls the method of the level with the prepared event."""

    def __init__(self, stream: LogStream, name: str) -> None:
        def method(level: str) -> Callable[..., None]:
            def write(message: object, attributes: dict[str, Any]) -> None:
                stream.emit(
                    level,
                    message,
                    attributes,
                    event_name=attributes.pop("event_name", None),
                    error=_error(attributes.pop("exc_info", None)),
                    logger=name,
                )

            return write

        self.debug = method("debug")
        self.info = method("info")
        self.warning = method("warning")
        self.error = method("error")
        self.critical = method("critical")
        self.msg, self.warn, self.fatal = self.info, self.warning, self.critical


def _prepare(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> tuple[tuple[object, dict[str, Any]], dict[str, Any]]:
    """Pass the event to :class:`_Emitter`: the message, and the rest as one mapping."""
    return (event.pop("event", ""), dict(event)), {}


def _error(exc_info: object) -> BaseException | None:
    if not exc_info:
        return None
    if isinstance(exc_info, BaseException):
        return exc_info
    given = isinstance(exc_info, tuple) and len(exc_info) == 3
    found = exc_info[1] if given else sys.exc_info()[1]  # type: ignore[index]
    return found if isinstance(found, BaseException) else None


def make_logger(stream: LogStream, name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a bound logger of ``name``; bound here once, so that no event pays for it."""
    level = next(level for level, number in LEVELS.items() if number == stream.level)
    logger = structlog.wrap_logger(
        _Emitter(stream, name),
        processors=[_prepare],
        wrapper_class=_WRAPPERS[level],
        context_class=dict,
    )
    return cast("structlog.typing.FilteringBoundLogger", logger.bind())
