"""From the parts of a log record to its line of JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson
from opentelemetry.trace import SpanContext

from . import _losses, semconv
from ._losses import Losses
from ._values import (
    ATTRIBUTE_CHARS,
    ATTRIBUTES_PER_RECORD,
    KEY_CHARS,
    MESSAGE_CHARS,
    STACK_TRACE_CHARS,
    attribute,
    clean,
    cut,
    scrub,
    scrub_text,
)

# Only this module writes these; an attribute of such a name is left out. ECS and structlog both use
# "event", so a string of that name at the top would break either.
_RESERVED = frozenset(
    {
        "@timestamp",
        "event",
        "log.level",
        "message",
        "span_id",
        "trace_id",
        semconv.EVENT_NAME,
        semconv.LOG_RECORD_UID,
        semconv.SERVICE_INSTANCE_ID,
        semconv.SERVICE_NAME,
        semconv.SERVICE_VERSION,
    }
)
# A route looks like a path, the id of a node in an expanded subgraph like an IP address.
VERBATIM = frozenset({semconv.HTTP_ROUTE, semconv.NODE_ID})
_LIMITS = {semconv.ERROR_STACK_TRACE: STACK_TRACE_CHARS + ATTRIBUTE_CHARS}
_SIZE = 1_024
_OPTIONS = orjson.OPT_APPEND_NEWLINE


class Renderer:
    """Makes lines of the records of one resource (the ``service.*`` attributes)."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        self._resource = dict(resource)
        self._second = (0, "")

    def head(
        self,
        time_ns: int,
        level: str,
        message: str,
        event_name: str | None,
        span: SpanContext,
        uid: str,
    ) -> dict[str, Any]:
        """Return the fields that every record begins with; ``message`` is redacted already."""
        record: dict[str, Any] = {
            "@timestamp": self._timestamp(time_ns),
            "log.level": level,
            "message": message,
        }
        if event_name is not None:
            record[semconv.EVENT_NAME] = event_name
        if span.trace_id:
            record["trace_id"] = format(span.trace_id, "032x")
            record["span_id"] = format(span.span_id, "016x")
        record.update(self._resource)
        record[semconv.LOG_RECORD_UID] = uid
        return record

    def _timestamp(self, time_ns: int) -> str:
        second, rest = divmod(time_ns, 1_000_000_000)
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{rest // 1000:06d}Z"


class Prepared:
    """A record whose parts are plain and redacted already, so that its line can be made later.

    The recorder makes these: the worker thread pays for the parts, the writer for the line.
    """

    __slots__ = ("_attributes", "_head", "_line", "_losses", "_renderer", "_scope", "size")

    def __init__(
        self,
        renderer: Renderer,
        losses: Losses,
        head: tuple[int, str, str, str, SpanContext, str],
        scope: Mapping[str, str],
        attributes: Mapping[str, Any],
    ) -> None:
        self._renderer = renderer
        self._losses = losses
        self._head = head
        self._scope = scope
        self._attributes = attributes
        self._line: bytes | None = None
        # Bytes, roughly, for the bound of a queue.
        self.size = _SIZE
        if semconv.ERROR_STACK_TRACE in attributes:
            self.size += len(attributes[semconv.ERROR_STACK_TRACE])

    def line(self) -> bytes:
        """Return the line, the same for each sink; an empty one if it could not be made."""
        if self._line is None:
            try:
                record = self._renderer.head(*self._head)
                record.update(self._scope)
                record.update(self._attributes)
                self._line = dumps(record)
            except Exception as failure:  # noqa: BLE001 - telemetry never breaks the work
                self._losses.add(_losses.INTERNAL_ERROR, detail=f"log record: {failure!r:.200}")
                self._line = b""
        return self._line


def dumps(record: dict[str, Any]) -> bytes:
    """Return the record as one line of JSON."""
    try:
        return orjson.dumps(record, option=_OPTIONS)
    except TypeError:
        # Lone surrogates or integers of more than 64 bits.
        safe = {scrub_text(key): scrub(value) for key, value in record.items()}
        return orjson.dumps(safe, option=_OPTIONS)


def shown_message(message: object) -> str:
    """Return the text of a message that may be anything."""
    if isinstance(message, str):
        return clean(message, MESSAGE_CHARS)
    shown = attribute(message)
    return shown if isinstance(shown, str) else str(shown)


def add_attributes(record: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    """Add attributes as they came from a caller to ``record``: redacted, capped, JSON."""
    if len(attributes) > ATTRIBUTES_PER_RECORD:
        record[semconv.TELEMETRY_LEFT_OUT] = len(attributes) - ATTRIBUTES_PER_RECORD
        attributes = dict(list(attributes.items())[:ATTRIBUTES_PER_RECORD])
    for key, value in attributes.items():
        if key in _RESERVED:
            continue
        kind = type(value)
        shown: object
        if kind is int or kind is bool:
            shown = value
        elif kind is not str:
            shown = attribute(value)
            if shown is None:
                continue
        elif key in VERBATIM:
            shown = cut(value, MESSAGE_CHARS)
        else:
            shown = clean(value, _LIMITS.get(key, ATTRIBUTE_CHARS))
        record[key if len(key) <= KEY_CHARS else clean(key, KEY_CHARS)] = shown
