"""Photos as small data URLs, so that the report needs no other file."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

_LONGEST_SIDE = 560
_QUALITY = 82


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to embed; the size is that of the embedded JPEG, in pixels."""

    url: str
    width: int
    height: int


def embed(file: Path) -> Picture:
    """Return ``file`` as a JPEG of at most 560 pixels a side, without its metadata.

    Raises OSError when it cannot be read as a picture.
    """
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{text}", picture.width, picture.height)
