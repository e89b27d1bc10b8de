"""What an answer may say of a failure: enough to understand it, nothing of this machine.

Tracebacks and inputs go to whoever sent the prompt, so paths are cut down to the part below the
package, values are described by their shape, and every field is capped.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from typing import Any

from structlog.typing import FilteringBoundLogger

from comfyui_telemetry import redact, semconv
from comfyui_telemetry.catalogue import CATALOGUE, Level

_MAX_MESSAGE = 1000
_MAX_FRAMES = 30
_MAX_VALUE = 200
_MAX_DEPTH = 10
_INSTALLED = re.compile(r"^.*?(?:site-packages|dist-packages|/lib/python3\.\d+)/")


def describe_error(error: BaseException, kind: str) -> dict[str, Any]:
    """Return the fields of ``execution_error`` that describe the exception and its kind."""
    entry = CATALOGUE[kind]
    action = entry.user_action or entry.action
    return {
        "exception_message": redact(str(error))[:_MAX_MESSAGE] or type(error).__name__,
        "exception_type": _type_name(error),
        "traceback": _frames(error),
        "kind": kind,
        "title": {"zh": entry.title.zh, "en": entry.title.en},
        "action": {"zh": action.zh, "en": action.en},
    }


def log_fault(
    log: FilteringBoundLogger,
    kind: str,
    text: str,
    *,
    event_name: str,
    error: BaseException | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write the one record that alerts of a fault go by: with the keyword, kind and level."""
    entry = CATALOGUE[kind]
    write = log.info if entry.level is Level.RECORD else log.error
    write(
        f"{entry.keyword}: {text}",
        event_name=event_name,
        exc_info=error,
        **{
            semconv.ERROR_KIND: entry.name,
            semconv.ERROR_LEVEL: int(entry.level),
            **(attributes or {}),
        },
    )


def describe_inputs(inputs: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    """Return the inputs of the failed node as short texts."""
    return {name: [describe_value(v) for v in values[:4]] for name, values in inputs.items()}


def describe_value(value: Any) -> str:
    """Return a value in few words: tensors by shape, texts redacted and capped."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__}{tuple(shape)} {getattr(value, 'dtype', '')}".strip()
    if isinstance(value, str | int | float | bool) or value is None:
        return redact(str(value)[:_MAX_VALUE])
    return type(value).__name__


def plain(value: Any, depth: int = 0) -> Any:
    """Return what a node wants to show as JSON holds it; foreign types become texts.

    A third party's node must not be able to break the history or the socket with a number of 80
    bits or a list that holds itself.
    """
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)[:_MAX_VALUE]
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set):
        return [plain(item, depth + 1) for item in value]
    return describe_value(value)


def _type_name(error: BaseException) -> str:
    cls = type(error)
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def _frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    return [f'  File "{short_path(f.filename)}", line {f.lineno}, in {f.name}\n' for f in frames]


def short_path(path: str) -> str:
    """Return a source file's path without the part that tells where things are installed."""
    if "/ddcolor_service/" in path:
        return "ddcolor_service/" + path.rpartition("/ddcolor_service/")[2]
    short = _INSTALLED.sub("", path)
    return short if short != path else path.rpartition("/")[2]
