"""Removes what must not reach a chat: paths, addresses, secrets, e-mail and personal numbers.

The service redacts at the source and the agent redacts again; this is the last gate before a
message, for lines that neither of them wrote. What goes and what stays is the telemetry library's
matter: ``_redaction.py`` here is its file, byte by byte, because this environment has no room for
the library itself. A test says when they differ, and how to copy it again.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from elastalert.enhancements import BaseEnhancement

from ddcolor_alerts import _redaction

MAX_LENGTH = 8192
# Read beyond the cut, so that a secret which the cut divides is still known as one.
_MARGIN = 512
_MAX_DEPTH = 8
# Names that this project makes. Alert ids are made from some, and they are looked up by the others,
# so they stay as they are even if their digits look like a telephone number.
_NAMES = frozenset(
    {"trace_id", "span_id", "parent_span_id", "event.name", "log.record.uid", "service.name"}
    | {"service.version", "service.instance.id", "comfyui.prompt.id", "comfyui.node.id"}
    | {"comfyui.node.class_type", "comfyui.error.kind", "ddcolor.part.name"}
)
# What cannot hold a text.
_HARMLESS = (bool, int, float, date, type(None))


def redact(text: str) -> str:
    """Return ``text`` without paths, addresses, secrets and personal numbers, cut to 8 KiB."""
    return _redaction.redact(text[: MAX_LENGTH + _MARGIN])[:MAX_LENGTH]


class RedactMatch(BaseEnhancement):  # type: ignore[misc]  # ElastAlert2 has no types
    """Redacts every text of a match in place, before it is sent and before it is written back.

    It cannot raise: ElastAlert2 drops the alert when an enhancement does.
    """

    def process(self, match: dict[str, Any]) -> None:
        """Redact ``match``; a value that cannot be redacted is replaced, never let through."""
        for key in list(match):
            if not (isinstance(key, str) and (key.startswith("_") or key in _NAMES)):
                match[key] = _safe(match[key])


def _safe(value: object) -> object:
    try:
        return _walk(value, _MAX_DEPTH)
    except Exception:  # noqa: BLE001  # an enhancement that raises loses the alert
        return "[unreadable]"


def _walk(value: Any, depth: int) -> Any:
    if isinstance(value, _HARMLESS):
        return value
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return redact(str(value))
    if depth == 0:
        return "[too deep]"
    if isinstance(value, dict):
        return {
            key: item if key in _NAMES and isinstance(item, str) else _walk(item, depth - 1)
            for key, item in value.items()
        }
    return [_walk(item, depth - 1) for item in value]
