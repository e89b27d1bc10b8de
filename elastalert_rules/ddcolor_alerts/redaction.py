"""Removes what must not reach a chat: paths, addresses, secrets, e-mail and personal numbers.

The service redacts at the source and the agent redacts again; this is the last gate before a
message, for lines that neither of them wrote. The telemetry library cannot be imported here, so the
patterns are this module's own and a test holds both to the same examples.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from elastalert.enhancements import BaseEnhancement

MAX_LENGTH = 8192
_MAX_DEPTH = 8
# Names that this project makes. Alert ids are made from some, and they are looked up by the others,
# so they stay as they are even if their digits look like a telephone number.
_NAMES = frozenset(
    {"trace_id", "span_id", "parent_span_id", "event.name", "log.record.uid", "service.name"}
    | {"service.version", "service.instance.id", "comfyui.prompt.id", "comfyui.node.id"}
    | {"comfyui.node.class_type", "comfyui.error.kind", "ddcolor.part.name"}
)

_CODE_FILE = re.compile(r"[\w-]{1,64}\.(?:ckpt|onnx|pth?|py|safetensors|ya?ml)")


def _keep_code_file(found: re.Match[str]) -> str:
    return f"<path>/{found[1]}" if _CODE_FILE.fullmatch(found[1]) else "<path>"


# Each pattern is bounded or cannot overlap itself, so the time is linear in the text's length.
_PATTERNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 <secret>"),
    (
        re.compile(
            r"(?i)\b(access_token|api[_-]?key|authorization|key|passw(?:or)?d|pwd|secret|sign|token)"
            r"([\"']?\s?[=:]\s?[\"']?)[^\s&\"',;<]{4,}"
        ),
        r"\1\2<secret>",
    ),
    (re.compile(r"\bSEC[0-9a-f]{32,}\b"), "<secret>"),
    (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"), "<email>"),
    (re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"), "<ip>"),
    (
        re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}(?![\w:])"),
        "<ip>",
    ),
    (
        re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6}(?![\w:])"),
        "<ip>",
    ),
    # Of a path the name of a code or model file stays: a traceback without it is of no use.
    (
        re.compile(r"(?<!\w)[A-Za-z]:\\(?:[^\s\\\"'<>|:]+\\)*([^\s\\\"'<>|:]*)"),
        _keep_code_file,
    ),
    (
        re.compile(r"(?<![\w/:~.>])~?/(?:[^\s/:;,\"'<>|()]+/)+([^\s/:;,\"'<>|()]*)"),
        _keep_code_file,
    ),
    (re.compile(r"(?<!\w)\d{17}[\dXx](?!\w)"), "<number>"),
    (re.compile(r"(?<!\w)(?:\+?86[ -]?)?1[3-9]\d{9}(?!\w)"), "<number>"),
)


def redact(text: str) -> str:
    """Return ``text`` without paths, addresses, secrets and personal numbers, cut to 8 KiB."""
    text = text[:MAX_LENGTH]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class RedactMatch(BaseEnhancement):  # type: ignore[misc]  # ElastAlert2 has no types
    """Redacts every text of a match in place, before it is sent and before it is written back.

    It cannot raise: ElastAlert2 drops the alert when an enhancement does.
    """

    def process(self, match: dict[str, Any]) -> None:
        """Redact ``match``; a value that cannot be redacted is replaced, never let through."""
        for key in list(match):
            if not key.startswith("_") and key not in _NAMES:
                match[key] = _safe(match[key])


def _safe(value: object) -> object:
    try:
        return _walk(value, redact, _MAX_DEPTH)
    except Exception:  # noqa: BLE001  # an enhancement that raises loses the alert
        return "[unreadable]"


def _walk(value: Any, change: Callable[[str], str], depth: int) -> Any:
    if isinstance(value, str):
        return change(value)
    if depth == 0:
        return "[too deep]" if isinstance(value, dict | list) else value
    if isinstance(value, dict):
        return {
            key: item if key in _NAMES and isinstance(item, str) else _walk(item, change, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_walk(item, change, depth - 1) for item in value]
    return value
