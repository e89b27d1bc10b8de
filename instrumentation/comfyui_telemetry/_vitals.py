"""How the process and its GPUs fare: resident memory, its trend, load of the GPUs.

Read on background threads only. The heartbeat and the metrics show the latest readings.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from . import semconv
from ._gpu import GpuReading, GpuThread
from ._losses import Losses

_SAMPLE_S = 10.0
_WINDOW_S = 600.0
# A line through less than this is the start of the process, not its trend.
_SHORTEST_WINDOW_S = 60.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class MemoryTrend:
    """The resident memory of the last ten minutes, one sample in ten seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=int(_WINDOW_S / _SAMPLE_S) + 1)

    def add(self, now: float, resident: int) -> None:
        """Take a sample: bytes at ``now`` (seconds of a monotonic clock)."""
        self._samples.append((now, resident))

    def due(self, now: float) -> bool:
        """Say whether the next sample is to be taken."""
        return not self._samples or now - self._samples[-1][0] >= _SAMPLE_S

    def slope(self) -> float | None:
        """Return the trend in bytes a second by least squares; None in the first minute."""
        samples = list(self._samples)
        if not samples or samples[-1][0] - samples[0][0] < _SHORTEST_WINDOW_S:
            return None
        mean_time = sum(at for at, _ in samples) / len(samples)
        mean_size = sum(size for _, size in samples) / len(samples)
        above = sum((at - mean_time) * (size - mean_size) for at, size in samples)
        return above / sum((at - mean_time) ** 2 for at, _ in samples)


class Vitals:
    """The latest readings of this process.

    :meth:`sample` is a chore of the watch thread. GPUs are read by a thread of their own, because
    a driver in trouble may hold its callers for ever and the heart must go on beating.
    """

    def __init__(self, losses: Losses, say: Callable[[str], None]) -> None:
        self._trend = MemoryTrend()
        self._gpus = GpuThread(losses, say)

    def start(self) -> None:
        """Begin to read the GPUs, if there are any."""
        self._gpus.start()

    def stop(self) -> None:
        """Read no more."""
        self._gpus.stop()

    def after_fork(self) -> None:
        """Forget the parent's readings; a forked helper has no heart and no figures."""
        self._trend = MemoryTrend()
        self._gpus.after_fork()

    def sample(self) -> None:
        """Take the sample of memory that is due."""
        now = time.monotonic()
        if self._trend.due(now) and (resident := resident_bytes()) is not None:
            self._trend.add(now, resident)

    def memory_slope(self) -> float | None:
        """Return the trend of the memory in bytes a second, None while it is not known."""
        return self._trend.slope()

    def gpus(self) -> tuple[GpuReading, ...]:
        """Return the latest reading of each GPU; none where they cannot be read any more."""
        return self._gpus.latest()

    def attributes(self) -> dict[str, Any]:
        """Return what a heartbeat tells; what is not known is left out."""
        readings = self.gpus()
        shown = {
            semconv.PROCESS_MEMORY_USAGE: resident_bytes(),
            semconv.PROCESS_MEMORY_SLOPE: self.memory_slope(),
            semconv.HW_GPU_MEMORY_UTILIZATION: _highest(r.memory_utilization for r in readings),
            semconv.HW_GPU_UTILIZATION: _highest(r.utilization for r in readings),
        }
        return {name: value for name, value in shown.items() if value is not None}


def _highest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)


def resident_bytes() -> int | None:
    """Return the process's resident memory, None where /proc does not tell it."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - read often, plain
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
