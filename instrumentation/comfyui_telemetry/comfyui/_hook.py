"""What all hooks have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .. import _losses
from .._losses import Losses
from ._patch import Patch

if TYPE_CHECKING:
    from .._configure import Telemetry
    from ..recorder import Recorder
    from ._running import RunningPrompts


class Hook:
    """One place in ComfyUI that is wrapped.

    ``name`` is what the log calls it, ``loss`` what is missing without it. :meth:`place` wraps and
    returns the name of the place; it raises ``HookUnavailableError`` if there is none. Wrappers
    look at ``active``: one that could not be taken out again only passes calls on.
    """

    name: ClassVar[str]
    loss: ClassVar[str]

    def __init__(self, telemetry: Telemetry, running: RunningPrompts) -> None:
        self.telemetry = telemetry
        self.recorder: Recorder = telemetry.recorder
        self.losses: Losses = telemetry.recorder.losses
        self.running = running
        self.active = False
        self._patches: list[Patch] = []

    def place(self) -> str:
        """Wrap what the hook sits on and return its name."""
        raise NotImplementedError

    def patch(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace an attribute until :meth:`remove`."""
        self._patches.append(Patch(owner, name, replacement))

    def remove(self) -> bool:
        """Restore everything; False if something had to stay in place, inactive."""
        self.active = False
        restored = [patch.undo() for patch in reversed(self._patches)]
        self._patches.clear()
        return all(restored)

    def remove_quietly(self) -> bool:
        """Remove as :meth:`remove`; an error counts as something that had to stay."""
        try:
            return self.remove()
        except Exception as error:  # noqa: BLE001 - telemetry never breaks the work
            self.losses.add(_losses.INTERNAL_ERROR, 0, f"hook {self.name}: {error!r:.200}")
            return False
