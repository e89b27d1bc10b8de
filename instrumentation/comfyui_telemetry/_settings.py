"""Settings of one configuration, from parameters and environment. The environment wins."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from . import _losses
from ._losses import Losses
from ._stream import LEVELS

PREFIX = "COMFYUI_TELEMETRY_"

# service: it runs prompts. part: it stands beside one (a notifier). observer: it speaks in the name
# of another process, so nothing of its own is told.
Role = Literal["service", "part", "observer"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What :func:`comfyui_telemetry.configure` was told; times in seconds, sizes in bytes.

    Errors: ``ValueError`` that names the parameter, what it was and what it may be.
    """

    service_name: str
    service_version: str | None
    log_file: Path | None
    log_stdout: bool
    traces: bool
    metrics: bool
    time_limit_s: float
    heartbeat_s: float
    service_heartbeat_s: float
    log_level: str
    log_max_bytes: int
    log_backups: int
    device_timing: bool
    role: Role

    def __post_init__(self) -> None:
        if not self.service_name:
            raise ValueError("service_name is empty: name the service, such as 'ddcolor-service'")
        for name in ("time_limit_s", "heartbeat_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}: give seconds above 0")
        if not self.service_heartbeat_s >= 0:
            raise ValueError(
                f"service_heartbeat_s is {self.service_heartbeat_s!r}: give seconds, 0 for none"
            )
        if self.role not in get_args(Role):
            raise ValueError(f"role is {self.role!r}: give one of {', '.join(get_args(Role))}")
        if self.log_level not in LEVELS:
            raise ValueError(f"log_level is {self.log_level!r}: give one of {', '.join(LEVELS)}")
        if self.log_max_bytes < 1 or self.log_backups < 0:
            raise ValueError(
                f"log_max_bytes is {self.log_max_bytes!r} and log_backups {self.log_backups!r}:"
                " give a size of at least 1 byte and a number of at least 0"
            )


def from_environment(parameters: dict[str, Any], losses: Losses) -> Settings:
    """Return the settings of ``parameters`` with what the environment says put over them.

    A variable that is not understood is noted and left out: a typing error of an operator must not
    keep the service from starting.
    """
    merged = dict(parameters)
    name = os.environ.get("OTEL_SERVICE_NAME")
    if name:
        merged["service_name"] = name
    for field, read in _VARIABLES.items():
        variable = PREFIX + field.upper()
        text = os.environ.get(variable)
        if not text:
            continue
        try:
            merged = _checked({**merged, field: read(text)})
        except ValueError as error:
            losses.add(_losses.SETTING_IGNORED, 0, f"{variable}={text!r:.80}: {error}")
    return Settings(**merged)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    Settings(**values)
    return values


def _boolean(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.strip().lower()]
    except KeyError:
        raise ValueError("give true or false") from None


_VARIABLES: dict[str, Callable[[str], Any]] = {
    "log_file": Path,
    "log_stdout": _boolean,
    "time_limit_s": float,
    "heartbeat_s": float,
    "service_heartbeat_s": float,
    "log_level": str.lower,
    "log_max_bytes": int,
    "log_backups": int,
    "device_timing": _boolean,
}
