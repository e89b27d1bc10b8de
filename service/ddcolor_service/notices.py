"""What the sender of a photo may want to know although nothing failed.

A client is told the name and the values and says it in its own language; the upload page keeps its
texts with its others. The English here is for the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NOTICES: Final[Mapping[str, str]] = {
    "size_rounded": "{asked} px is no multiple of {step}, {used} px is used",
    "size_outside_advice": "{size} px is outside the advised {advised} px",
    "photo_large": "the photo is longer than {limit} px",
    "retried_smaller": "memory ran out at {asked} px, {used} px is used",
}
"""Each notice that our own nodes give, with its text for the log."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice: a name of :data:`NOTICES` (or a third party's), and what it speaks of.

    ``values`` are numbers (pixels), or texts that no language has, such as ``480–672``.
    """

    name: str
    values: Mapping[str, int | str]

    def __str__(self) -> str:
        """Return the English text for the log."""
        return NOTICES[self.name].format(**self.values)
