"""Start telemetry inside ComfyUI; what the folder in ``custom_nodes`` calls.

Settings come from ``settings.json`` beside that folder's ``__init__.py`` (``ddcolor-obs comfyui
install`` writes it); the environment wins over it:

    OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_ENDPOINT, ...    as OpenTelemetry specifies them
    COMFYUI_TELEMETRY_LOG_FILE      default: telemetry/comfyui.jsonl in ComfyUI's folder
    COMFYUI_TELEMETRY_LOG_STDOUT    default: false, the console stays ComfyUI's
    COMFYUI_TELEMETRY_ENABLED       false: nothing is configured and nothing is hooked
    COMFYUI_TELEMETRY_HEALTH_ROUTE  false: no /telemetry/health
    COMFYUI_TELEMETRY_OUTPUT_CHECK  photos (default), all or off
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import semconv
from .._configure import Telemetry, configure
from .._settings import PREFIX
from .goodbye import Goodbye
from .hooks import Hooks, install
from .outputs import MODES

SETTINGS = {
    "service_name": "name of this ComfyUI in telemetry",
    "log_file": "file of JSON log lines",
    "otlp_endpoint": "collector, such as http://127.0.0.1:4318",
    "health_route": "true or false",
    "output_check": "photos, all or off",
}
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def start(settings_file: Path | None = None) -> Hooks | None:
    """Configure telemetry and place the hooks; None if it is switched off. Never raises."""
    try:
        return _start(settings_file)
    except Exception as error:  # noqa: BLE001 - ComfyUI must start whatever happens here
        print(f"[ddcolor-telemetry] not started: {error!r}", file=sys.stderr)  # noqa: T201
        return None


def _start(settings_file: Path | None) -> Hooks | None:
    told, problem = _read(settings_file)
    if not _flag("enabled", told, default=True):
        return None
    if told.get("otlp_endpoint"):
        os.environ.setdefault(_ENDPOINT, str(told["otlp_endpoint"]))
    telemetry = _configure(told)
    log = telemetry.logger("comfyui_telemetry.comfyui")
    if problem:
        log.warning(problem, event_name=semconv.EVENT_TELEMETRY_DEGRADED)
    mode = os.environ.get(f"{PREFIX}OUTPUT_CHECK", "").lower() or str(
        told.get("output_check", "photos")
    )
    if mode not in MODES:
        log.warning(
            f"output_check is {mode!r}: give one of {', '.join(MODES)}; photos is used",
            event_name=semconv.EVENT_TELEMETRY_DEGRADED,
        )
        mode = "photos"
    hooks = install(
        telemetry, health_route=_flag("health_route", told, default=True), output_check=mode
    )
    hooks.on_uninstall(Goodbye(telemetry).leave)
    log.info("ComfyUI is observed", event_name=semconv.EVENT_SERVICE_STARTED)
    return hooks


def _configure(told: Mapping[str, Any]) -> Telemetry:
    """Configure without making ComfyUI's console say more or less than before."""
    root = logging.getLogger()
    level = root.level
    telemetry = configure(
        str(told.get("service_name") or "comfyui"),
        _version(),
        log_file=Path(told["log_file"]) if told.get("log_file") else _default_log_file(),
        log_stdout=False,
    )
    root.setLevel(level)
    return telemetry


def _read(path: Path | None) -> tuple[Mapping[str, Any], str]:
    """Return the settings of the file and what is wrong with it."""
    if path is None or not path.exists():
        return {}, ""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, f"{path.name} cannot be read and is left out: {error}"
    if not isinstance(told, dict):
        return {}, f"{path.name} is no JSON object and is left out"
    unknown = sorted(set(told) - set(SETTINGS) - {"enabled"})
    return told, f"{path.name} has unknown settings: {', '.join(unknown)}" if unknown else ""


def _flag(name: str, told: Mapping[str, Any], *, default: bool) -> bool:
    text = os.environ.get(f"{PREFIX}{name.upper()}", "").strip().lower()
    if text:
        return text not in ("0", "false", "no", "off")
    return bool(told.get(name, default))


def _default_log_file() -> Path:
    folders = sys.modules.get("folder_paths")
    base = Path(folders.base_path) if folders is not None else Path.cwd()
    return base / "telemetry" / "comfyui.jsonl"


def _version() -> str | None:
    """Return ComfyUI's version; its module exists since 0.3.11."""
    module = sys.modules.get("comfyui_version")
    return str(module.__version__) if module is not None else None
