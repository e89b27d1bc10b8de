"""What the watchdog remembers from one look to the next, also across restarts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True)
class State:
    """Since when the notifier has not answered, and who has been told.

    Times are seconds since the epoch. ``told`` holds the channels that know of a death and have
    not heard that it is over, with since when it was; ``unsure`` those that may have what they
    are being told, by a try without an answer. ``back_at`` is since when the notifier answers
    again, while somebody is still to hear of that. ``failures`` counts the tries in a row that a
    channel did not confirm; it is not tried again before ``next_at``.
    """

    checked_at: float | None = None
    failing_since: float | None = None
    told: dict[str, float] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    back_at: float | None = None
    failures: dict[str, int] = field(default_factory=dict)
    next_at: dict[str, float] = field(default_factory=dict)


def load_state(path: Path) -> State:
    """Return what is in ``path``; a file that is missing or not readable is a first look."""
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        # The worst that comes of it is a message that is sent again.
        return State()


def save_state(path: Path, state: State) -> None:
    """Write ``path`` whole or not at all; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(asdict(state)), encoding="utf-8")
    part.replace(path)
