"""Make text from logs safe to show: redacted, one line, unable to format, mention or link.

Nothing here raises, whatever it is given: an alert must not be lost over a strange character.
"""

from __future__ import annotations

import re
import unicodedata

from comfyui_telemetry import redact
from ddcolor_operations.notifier.secrets import hide

_WITHHELD = "…"

# Full-width look-alikes instead of backslashes: neither robot documents an escape, and a
# look-alike stays readable in every renderer.
_LOOK_ALIKES = str.maketrans(
    {
        "*": "＊",
        "`": "ˋ",
        "[": "［",
        "]": "］",
        "<": "＜",
        ">": "＞",
        "#": "＃",
        "~": "～",
        "|": "｜",
        "\\": "＼",
        "@": "＠",
        "!": "！",
    }
)
_SCHEME = re.compile(r"(?<=[A-Za-z])://")
# An underscore between letters or digits (DDColor_Colorize) formats nothing and is kept.
_LOOSE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")


def clean(text: object, limit: int = 400) -> str:
    """Return ``text`` redacted, on one line, without control or invisible characters.

    None of this process's own secrets is left in it either: who was sent one may send it back.

    ``limit`` is in characters; a longer text ends with an ellipsis.
    """
    try:
        # The cap before redaction bounds its work; the margin keeps what it may shorten.
        raw = hide(str(text)[: limit * 4 + 256]).encode("utf-8", "replace").decode("utf-8")
        visible = "".join(
            character if unicodedata.category(character)[0] != "C" else " "
            for character in redact(raw)
        )
        one_line = " ".join(visible.split())
    except Exception:  # noqa: BLE001 - the promise of this module
        return _WITHHELD
    return one_line if len(one_line) <= limit else one_line[: max(limit - 1, 0)].rstrip() + "…"


def escape_markdown(text: object) -> str:
    """Return ``text`` so that neither robot formats it, mentions anybody or makes a link of it."""
    try:
        escaped = _SCHEME.sub("：//", str(text)).translate(_LOOK_ALIKES)
        return _LOOSE_UNDERSCORE.sub("＿", escaped)
    except Exception:  # noqa: BLE001 - the promise of this module
        return _WITHHELD


def cut_bytes(text: str, limit: int, ellipsis: str = "…") -> str:
    """Return the longest start of ``text`` that fits ``limit`` UTF-8 bytes, whole characters only.

    A text that was cut ends with ``ellipsis``, if that fits; lone surrogates become ``?``.
    """
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode("utf-8")
    mark = ellipsis.encode("utf-8")
    if len(mark) > limit:
        mark = b""
    kept = data[: max(limit, 0) - len(mark)].decode("utf-8", "ignore")
    return kept + mark.decode("utf-8")
