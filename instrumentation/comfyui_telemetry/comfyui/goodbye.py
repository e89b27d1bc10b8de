"""Say that ComfyUI stops, so that a stop in good order is not taken for a crash.

ComfyUI ends by itself (Ctrl-C), which is seen at exit, or by SIGTERM (``docker stop``, systemd),
which would end it without a word. The handler says it, flushes, and lets the signal do what it
would have done; it is only set where nobody else has one.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

from .. import semconv

if TYPE_CHECKING:
    from .._configure import Telemetry

_FLUSH_S = 2.0


class Goodbye:
    """The last word of this process; :meth:`leave` takes everything back."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._pid = os.getpid()
        self._said = False
        # Registered after the telemetry's own shutdown and so called before it.
        atexit.register(self.say)
        # Bound methods are made anew at each access; this is the one to look for when leaving.
        self._handler = self._terminated
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handler)

    def say(self) -> None:
        """Record the stop, once, and not from a forked helper."""
        if self._said or os.getpid() != self._pid:
            return
        self._said = True
        self._telemetry.logger("comfyui_telemetry.comfyui").info(
            "ComfyUI stops", event_name=semconv.EVENT_SERVICE_STOPPED
        )

    def leave(self) -> None:
        """Say nothing any more."""
        atexit.unregister(self.say)
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is self._handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _terminated(self, number: int, _: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self.say()
            if self._pid == 1:
                # The first process of a container: without a handler the system would have
                # thrown the signal away, so ComfyUI goes on until it is killed.
                self._telemetry.flush(_FLUSH_S)
                return
            self._telemetry.shutdown(_FLUSH_S)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
