"""Telemetry for ComfyUI services: JSON logs, traces and metrics.

    from comfyui_telemetry import configure, semconv

    telemetry = configure("ddcolor-service", log_file=Path("service.jsonl"))
    log = telemetry.logger("ddcolor_service.http")
    log.info("Ready", event_name=semconv.EVENT_SERVICE_STARTED)

    telemetry.recorder.prompt_queued(prompt_id, number_waiting=1)
    ...
    with telemetry.recorder.prompt(prompt_id, node_count=3) as prompt:
        with prompt.node("1", "LoadImage"):
            ...

Every record is one line of JSON with the names that :mod:`comfyui_telemetry.semconv` declares; text
is redacted and capped before it leaves the calling thread. Nothing here blocks or raises into the
work: what cannot be kept is counted (``comfyui.telemetry.dropped``) and said once.
"""

from . import catalogue, semconv
from ._classify import classify
from ._configure import Telemetry, configure
from ._redaction import redact
from ._told import ToldError
from ._version import __version__
from .propagation import extract_context, inject_context
from .recorder import NodeRecord, PromptRecord, Recorder

__all__ = [
    "NodeRecord",
    "PromptRecord",
    "Recorder",
    "Telemetry",
    "ToldError",
    "__version__",
    "catalogue",
    "classify",
    "configure",
    "extract_context",
    "inject_context",
    "redact",
    "semconv",
]
