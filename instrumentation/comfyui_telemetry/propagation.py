"""W3C trace context in and out of HTTP headers."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_HEADERS = frozenset({"traceparent", "tracestate"})


def extract_context(headers: Mapping[str, str]) -> Context:
    """Return the context that ``headers`` carry; an empty one if they carry none that is valid.

    Header names are compared in lower case: HTTP does not distinguish, mappings do.
    """
    carrier = {name.lower(): value for name, value in headers.items() if name.lower() in _HEADERS}
    return _propagator.extract(carrier, context=Context())


def inject_context(headers: MutableMapping[str, str] | None = None) -> MutableMapping[str, str]:
    """Add ``traceparent`` (and ``tracestate``) of the current span to ``headers`` and return it."""
    carrier: MutableMapping[str, str] = {} if headers is None else headers
    _propagator.inject(carrier)
    return carrier
