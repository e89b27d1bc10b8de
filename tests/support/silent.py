"""A logger that keeps what it is told."""

from __future__ import annotations

from typing import Any


class SilentLogger:
    """Takes the calls of a comfyui_telemetry logger; each record is (level, message, fields)."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, message: str, **fields: Any) -> None:
        """Keep an info record."""
        self.records.append(("info", message, fields))

    def warning(self, message: str, **fields: Any) -> None:
        """Keep a warning record."""
        self.records.append(("warning", message, fields))

    def error(self, message: str, **fields: Any) -> None:
        """Keep an error record."""
        self.records.append(("error", message, fields))
