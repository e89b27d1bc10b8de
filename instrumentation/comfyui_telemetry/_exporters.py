"""Find the exporters that the OTEL_* variables name, through the packages' entry points."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality

from . import _losses
from ._losses import Losses

_HTTP = "http/protobuf"
_PROTOCOLS = {_HTTP: "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def exporters(signal: str, losses: Losses) -> list[Any]:
    """Return new exporters for ``signal`` ("traces" or "metrics").

    ``OTEL_<SIGNAL>_EXPORTER`` is a comma list of names (default ``otlp``; ``none`` for nothing);
    ``OTEL_EXPORTER_OTLP[_<SIGNAL>]_PROTOCOL`` chooses the protocol (default ``http/protobuf``).
    One that is missing or refuses its settings is left out and noted.
    """
    made: list[Any] = []
    for name in os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").split(","):
        entry = name.strip().lower()
        if entry in ("", "none"):
            continue
        if entry == "otlp":
            entry = _PROTOCOLS[_protocol(signal, losses)]
        try:
            (found,) = entry_points(group=f"opentelemetry_{signal}_exporter", name=entry)
            made.append(found.load()(**_options(signal, name)))
        except Exception as error:  # noqa: BLE001 - foreign packages, at start only
            losses.add(_losses.EXPORTER_MISSING, 0, f"{signal} exporter {entry}: {error!r:.200}")
    return made


def _options(signal: str, name: str) -> dict[str, Any]:
    """Ask OTLP for delta temporality: Elasticsearch takes no cumulative histograms."""
    if signal != "metrics" or not name.strip().startswith("otlp"):
        return {}
    if "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" in os.environ:
        return {}
    delta = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)
    return {"preferred_temporality": delta}


def _protocol(signal: str, losses: Losses) -> str:
    general = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", _HTTP)
    wanted = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", general)
    protocol = wanted.strip().lower()
    if protocol in _PROTOCOLS:
        return protocol
    detail = f"OTLP protocol {wanted!r:.80}: give one of {', '.join(_PROTOCOLS)}"
    losses.add(_losses.SETTING_IGNORED, 0, detail)
    return _HTTP


def sdk_disabled() -> bool:
    """Say whether OTEL_SDK_DISABLED switches traces and metrics off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
