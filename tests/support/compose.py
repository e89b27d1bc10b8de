"""docker-compose.yml as Compose sees it: merged, with its variables replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ddcolor_operations.layout import project_root

ROOT = project_root()

# $$, ${NAME}, ${NAME:-default}; what else Compose knows is not used here.
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\})"
)


def load(file: Path = ROOT / "docker-compose.yml", **variables: str) -> dict[str, Any]:
    """Return the file with ``variables`` in force; KeyError for one without value or default."""
    return dict(_replaced(yaml.safe_load(file.read_text(encoding="utf-8")), variables))


def variables(file: Path = ROOT / "docker-compose.yml") -> set[str]:
    """Return the names of all variables that the file takes from .env."""
    found = _VARIABLE.finditer(file.read_text(encoding="utf-8"))
    return {match["name"] for match in found if match["name"]}


def _replaced(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, variables) for item in value]
    if isinstance(value, str):

        def replace(match: re.Match[str]) -> str:
            if match["dollar"]:
                return "$"
            given = variables.get(match["name"])
            if not given and match["default"] is None:
                raise KeyError(match["name"])
            return given or match["default"]

        return _VARIABLE.sub(replace, value)
    return value


@dataclass(frozen=True)
class Mount:
    """One mount; ``host`` is None for a volume, ``volume`` for a path of this machine."""

    host: Path | None
    volume: str | None
    target: str
    read_only: bool


def mounts(service: Mapping[str, Any]) -> list[Mount]:
    """Return the mounts of a service, written short or long."""
    return [_mount(entry) for entry in service.get("volumes", [])]


def _mount(entry: Any) -> Mount:
    if isinstance(entry, str):
        source, target, *options = entry.split(":")
        read_only = options == ["ro"]
    else:
        source, target, read_only = entry["source"], entry["target"], bool(entry.get("read_only"))
    if source.startswith((".", "/")):
        return Mount((ROOT / source).resolve(), None, target, read_only)
    return Mount(None, source, target, read_only)
