"""Describe exceptions: fully qualified type, message and stack trace, redacted and capped."""

from __future__ import annotations

import traceback

from . import semconv
from ._told import ToldError
from ._values import ATTRIBUTE_CHARS, STACK_TRACE_CHARS, clean

_FRAMES = 60
_HEAD_CHARS = 4_096


def qualified_name(kind: type[BaseException]) -> str:
    """Return ``module.Class``; built-in exceptions have no module."""
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "") else f"{module}.{kind.__qualname__}"


def message_of(error: BaseException, limit: int = ATTRIBUTE_CHARS) -> str:
    """Return the exception's text, redacted and capped; its own ``__str__`` may fail."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - foreign code
        return "<exception without a text>"
    return clean(text, limit)


def stack_trace_of(error: BaseException) -> str:
    """Return the formatted traceback, redacted; of a long one the start and the end stay."""
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=-_FRAMES)
        text = "".join(lines)
    except Exception as failure:  # noqa: BLE001 - foreign code
        return f"<no stack trace: {type(failure).__qualname__}>"
    if len(text) > STACK_TRACE_CHARS:
        # The end names the exception, so it gets the larger share. Cuts fall between lines.
        head = text[:_HEAD_CHARS].rpartition("\n")[0]
        tail = text[-(STACK_TRACE_CHARS - _HEAD_CHARS) :].partition("\n")[2]
        missing = len(text) - len(head) - len(tail)
        text = f"{head}\n…[{missing} more characters]\n{tail}"
    return clean(text, STACK_TRACE_CHARS + ATTRIBUTE_CHARS)


def describe(error: BaseException) -> dict[str, str]:
    """Return the three ``error.*`` attributes of an exception."""
    if isinstance(error, ToldError):
        return _described_as_told(error)
    return {
        semconv.ERROR_TYPE: qualified_name(type(error)),
        semconv.ERROR_MESSAGE: message_of(error),
        semconv.ERROR_STACK_TRACE: stack_trace_of(error),
    }


def _described_as_told(error: ToldError) -> dict[str, str]:
    described = {
        semconv.ERROR_TYPE: clean(error.error_type),
        semconv.ERROR_MESSAGE: message_of(error),
    }
    if error.stack_trace:
        described[semconv.ERROR_STACK_TRACE] = clean(error.stack_trace, STACK_TRACE_CHARS)
    return described
