"""What the recorder's parts share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opentelemetry.trace import Tracer

from . import _losses
from ._classify import DEFAULT_KIND
from ._losses import Losses
from ._metrics import Instruments
from ._stream import LogStream
from ._values import attribute, clean
from ._watch import Watch
from .catalogue import CATALOGUE, ErrorKind

_NAME_CHARS = 128
_NODE_ID = re.compile(r"\d{1,12}(?:[.:]\d{1,12}){0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kit:
    """The tools of one :class:`~comfyui_telemetry.Telemetry`; times in seconds."""

    tracer: Tracer
    stream: LogStream
    watch: Watch
    instruments: Instruments
    losses: Losses
    time_limit_s: float
    heartbeat_s: float
    device_timing: bool


def kind_of(name: str, losses: Losses) -> ErrorKind:
    """Return the catalogue's entry; an unknown name is noted and taken as a failed execution."""
    kind = CATALOGUE.get(name)
    if kind is None:
        losses.add(_losses.INTERNAL_ERROR, 0, f"error kind {name!r:.80} is not in the catalogue")
        return CATALOGUE[DEFAULT_KIND]
    return kind


def safe_node_id(value: object) -> str:
    """Return a node's id as text; one of an expanded subgraph, "3.0.0.1", is no IP address."""
    text = value if isinstance(value, str) else str(attribute(value))
    return text if _NODE_ID.fullmatch(text) else clean(text, _NAME_CHARS)


def safe_name(value: object) -> str:
    """Return an id or class name that came from outside as short redacted text."""
    return clean(value if isinstance(value, str) else str(attribute(value)), _NAME_CHARS)
