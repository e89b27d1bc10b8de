"""Why a message about an alert is sent: it came, nobody took it on, or it is over."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import IntEnum


class Form(IntEnum):
    """What may share one message; the order is that in which a channel speaks."""

    ALERT = 0
    ESCALATION = 1
    HELD_OVER = 2  # alerts that waited for the end of the quiet hours
    OVER = 3


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault that is over: its first alert, its last (s since the epoch), and how many there were.

    When it is ``resolved``, that is known to be over and not only quiet, ``last_at`` is its end;
    ``by`` is who acknowledged it.
    """

    since: float
    last_at: float
    total: int
    resolved: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class Escalation:
    """A fault that nobody acknowledged: the how-manieth call, since when, how many alerts."""

    step: int
    since: float
    total: int


Occasion = Episode | Escalation | None


def to_text(occasion: Occasion) -> str:
    """Return the occasion as the outbox keeps it; an alert's own message is ``""``."""
    return "" if occasion is None else json.dumps(asdict(occasion), ensure_ascii=False)


def from_text(text: str) -> Occasion:
    """Return what :func:`to_text` wrote."""
    if not text:
        return None
    facts = json.loads(text)
    return Escalation(**facts) if "step" in facts else Episode(**facts)
