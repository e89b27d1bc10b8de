"""Peak memory of a piece of work, on a GPU or in this process."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

_STATM = Path("/proc/self/statm")
_EVERY_S = 0.005


class PeakMemory:
    """Context that measures how much more memory was in use at most than when it was entered.

    On CUDA this is exact. On a CPU the resident size is sampled, so that a peak shorter than 5 ms
    can be missed, and memory that the allocator kept from earlier work does not count. ``peak`` is
    in bytes, and None where neither way exists.
    """

    def __init__(self, device: torch.device) -> None:
        self.peak: int | None = None
        self._device = device
        self._done = threading.Event()
        self._sampler: threading.Thread | None = None
        self._before = 0

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        elif _STATM.exists():
            self._before = _resident()
            self.peak = 0
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device.type == "cuda":
            self.peak = torch.cuda.max_memory_allocated(self._device) - self._before
        elif self._sampler is not None:
            self._done.set()
            self._sampler.join()

    def _sample(self) -> None:
        while not self._done.wait(_EVERY_S):
            self.peak = max(self.peak or 0, _resident() - self._before)


def _resident() -> int:
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
