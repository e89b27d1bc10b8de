"""Load and memory of NVIDIA GPUs, by nvidia-ml-py (``pynvml``) where it is installed.

The figures are those of the GPUs that this process may use (``CUDA_VISIBLE_DEVICES``). Of a GPU
that is cut up by MIG the driver tells the memory and no load.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _losses
from ._losses import Losses

_READ_S = 10.0
# Opened anew after a fault: a driver comes back when it was reloaded or the GPU was reset.
_RETRY_S = 60.0
_STALE_S = 45.0
_CONTROL_DEVICE = Path("/dev/nvidiactl")


class NoGpuError(Exception):
    """This machine has no NVIDIA GPU; the text says by what that is known."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One look at one GPU: bytes, shares from 0 to 1; None for what its driver does not tell."""

    id: str
    name: str
    memory_total: int | None
    memory_used: int | None
    utilization: float | None

    @property
    def memory_utilization(self) -> float | None:
        """Return the used share of the memory."""
        if self.memory_used is None or not self.memory_total:
            return None
        return self.memory_used / self.memory_total


class Gpus:
    """An open connection to the driver. Calls may block for long when a GPU is in trouble.

    ``trouble`` is told of a GPU that does not answer while others may.
    """

    def __init__(self, trouble: Callable[[Exception], None]) -> None:
        """Open it. Errors: ``NoGpuError``; any error of the driver's library."""
        self._trouble = trouble
        self._lost: Exception | None = None
        try:
            self._nvml: Any = importlib.import_module("pynvml")
        except ImportError as error:
            if _CONTROL_DEVICE.exists():
                raise
            raise NoGpuError("there is no NVIDIA driver and no nvidia-ml-py") from error
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            if error.value == self._nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
                raise NoGpuError("there is no NVIDIA driver") from error
            raise
        with contextlib.ExitStack() as undo:
            # Left open by a fault, the library would give its dead handles to every later try.
            undo.callback(self.close)
            self._handles = self._visible()
            if not self._handles:
                raise self._lost or NoGpuError("no NVIDIA GPU is visible to this process")
            undo.pop_all()

    def close(self) -> None:
        """End the connection; a driver that is gone already is no trouble."""
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def read(self) -> tuple[GpuReading, ...]:
        """Look at each GPU; one that fell off the bus is left out."""
        readings = []
        for handle in self._handles:
            try:
                readings.append(self._read(handle))
            except self._nvml.NVMLError as error:
                self._trouble(error)
        return tuple(readings)

    def _read(self, handle: Any) -> GpuReading:
        memory = self._told(self._nvml.nvmlDeviceGetMemoryInfo, handle)
        load = self._told(self._nvml.nvmlDeviceGetUtilizationRates, handle)
        return GpuReading(
            id=_text(self._nvml.nvmlDeviceGetUUID(handle)),
            name=_text(self._nvml.nvmlDeviceGetName(handle)),
            memory_total=int(memory.total) if memory is not None else None,
            memory_used=int(memory.used) if memory is not None else None,
            utilization=load.gpu / 100 if load is not None else None,
        )

    def _told(self, question: Callable[[Any], Any], handle: Any) -> Any:
        """Return an answer, None where this GPU or this user gets none."""
        try:
            return question(handle)
        except self._nvml.NVMLError as error:
            silent = (self._nvml.NVML_ERROR_NOT_SUPPORTED, self._nvml.NVML_ERROR_NO_PERMISSION)
            if error.value in silent:
                return None
            raise

    def _visible(self) -> list[Any]:
        """Return the GPUs that CUDA would show, by the driver's numbers (the order of the bus)."""
        count = int(self._nvml.nvmlDeviceGetCount())
        handles = [self._handle(index) for index in range(count)]
        wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
        if wanted is None:
            return [handle for handle in handles if handle is not None]
        found = []
        for entry in (part.strip() for part in wanted.split(",")):
            handle = self._named(entry, handles)
            if handle is None:
                # As CUDA does: what stands behind an entry that names nothing is invisible.
                break
            found.append(handle)
        return found

    def _handle(self, index: int) -> Any:
        try:
            return self._nvml.nvmlDeviceGetHandleByIndex(index)
        except self._nvml.NVMLError as error:
            self._lost = error
            self._trouble(error)
            return None

    def _named(self, entry: str, handles: list[Any]) -> Any:
        if entry.isdecimal():
            return handles[int(entry)] if int(entry) < len(handles) else None
        if entry.startswith("MIG-"):
            with contextlib.suppress(self._nvml.NVMLError):
                return self._nvml.nvmlDeviceGetHandleByUUID(entry)
            return None
        if not entry.startswith("GPU-"):
            return None
        matching = [
            handle
            for handle in handles
            if handle is not None and _text(self._nvml.nvmlDeviceGetUUID(handle)).startswith(entry)
        ]
        return matching[0] if len(matching) == 1 else None


class GpuThread:
    """Reads the GPUs every ten seconds on a daemon thread, which ends where there are none."""

    def __init__(self, losses: Losses, say: Callable[[str], None]) -> None:
        self._losses = losses
        self._say = say
        self._reset()

    def _reset(self) -> None:
        self._stopping = threading.Event()
        self._latest: tuple[float, tuple[GpuReading, ...]] = (0.0, ())
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread if it does not run."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="telemetry-gpus", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after its look; it is not waited for, it may hang in the driver."""
        self._stopping.set()

    def after_fork(self) -> None:
        """Leave thread and readings to the parent: the driver's library does not survive a fork."""
        self._reset()

    def latest(self) -> tuple[GpuReading, ...]:
        """Return the last readings; none once they are too old to be true."""
        at, readings = self._latest
        if not readings:
            return ()
        if time.monotonic() - at > _STALE_S:
            self._losses.add(_losses.GPU_UNREADABLE, 0, f"no answer for {_STALE_S:.0f} s")
            return ()
        return readings

    def _run(self) -> None:
        stopping = self._stopping
        while not stopping.is_set():
            try:
                self._read_until(stopping)
            except NoGpuError as error:
                self._say(f"There are no GPU figures: {error}")
                return
            except Exception as error:  # noqa: BLE001 - the driver's library may raise anything
                self._trouble(error)
            self._latest = (0.0, ())
            stopping.wait(_RETRY_S)

    def _read_until(self, stopping: threading.Event) -> None:
        """Read until told to stop, or until no GPU answers any more."""
        gpus = Gpus(self._trouble)
        try:
            while not stopping.is_set() and (readings := gpus.read()):
                self._latest = (time.monotonic(), readings)
                stopping.wait(_READ_S)
        finally:
            gpus.close()

    def _trouble(self, error: Exception) -> None:
        self._losses.add(_losses.GPU_UNREADABLE, 0, f"{type(error).__name__}: {error!s:.200}")


def _text(value: str | bytes) -> str:
    """Return a text of the driver's library, which gave bytes before version 12."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
