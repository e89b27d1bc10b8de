"""How long a node kept the GPU, by CUDA events: kernels run on after the host's call has returned.

An event is put into the stream where a node begins and where it ends, which costs microseconds and
waits for nothing. Whether the GPU has come to them is asked later, by the watch thread. torch is
never imported from here and CUDA never initialised: without them there are no figures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

# A GPU that has not come this far by then hangs, or the node left it a queue of work.
_GIVE_UP_S = 60.0


def mark() -> Any:
    """Put an event into the current stream and return it.

    None where CUDA is not in use, or in an error that the work itself meets: kernels fail late, so
    a node may have ended well with its GPU broken, and its record must come all the same.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    try:
        # An event that is recorded into a graph under capture would become part of it.
        if cuda is None or not cuda.is_initialized() or cuda.is_current_stream_capturing():
            return None
        event = cuda.Event(enable_timing=True)
        event.record()
    except Exception:  # noqa: BLE001 - torch raises what it likes; there is no figure then
        return None
    return event


class DeviceTime:
    """The time between two events, once the GPU has passed both; then ``finish`` is called."""

    def __init__(self, start: Any, end: Any, finish: Callable[[float | None], None]) -> None:
        self._start = start
        self._end = end
        self._finish = finish
        self._give_up_at = time.monotonic() + _GIVE_UP_S

    def resolve(self, *, wait: bool = True) -> bool:
        """Call ``finish`` with seconds, or None if they cannot be had; False: it is too early."""
        try:
            if self._end.query():
                seconds = self._start.elapsed_time(self._end) / 1e3
            elif wait and time.monotonic() < self._give_up_at:
                return False
            else:
                seconds = None
        except Exception:  # noqa: BLE001 - two devices, or a CUDA error that the node itself meets
            seconds = None
        self._finish(seconds)
        return True
