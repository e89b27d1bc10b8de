"""A stand-in for ``pynvml``: the functions that the library uses, failing as NVML documents it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

UNINITIALIZED, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 1, 3, 4, 6
DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, GPU_IS_LOST = 9, 12, 15


class NVMLError(Exception):
    """As in nvidia-ml-py: the code is ``value``."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


class Device:
    """One GPU: its figures, or the code that a question about it is answered with."""

    def __init__(
        self,
        uuid: str,
        *,
        total: int = 80 * 2**30,
        used: int = 20 * 2**30,
        load: int = 50,
        name: str = "NVIDIA H100 80GB HBM3",
    ) -> None:
        self.uuid, self.name = uuid, name
        self.total, self.used, self.load = total, used, load
        self.memory_error = self.load_error = self.error = 0


class FakeNvml(ModuleType):
    """The module. ``init_error`` is the code of ``nvmlInit``; ``mig`` are instances by UUID."""

    NVMLError = NVMLError
    NVML_ERROR_NOT_SUPPORTED = NOT_SUPPORTED
    NVML_ERROR_NO_PERMISSION = NO_PERMISSION
    NVML_ERROR_LIBRARY_NOT_FOUND = LIBRARY_NOT_FOUND

    def __init__(self, *devices: Device, mig: tuple[Device, ...] = ()) -> None:
        super().__init__("pynvml")
        self.devices = devices
        self.mig = {device.uuid: device for device in mig}
        self.init_error = 0
        self.opened = 0
        self.asked: Callable[[], Any] = lambda: None

    def nvmlInit(self) -> None:  # noqa: D102, N802 - its real name, as all below
        _fail(self.init_error)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: D102, N802
        self._check()
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: D102, N802
        self._check()
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:  # noqa: D102, N802
        self._check()
        device = self.devices[index]
        _fail(device.error)
        return device

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Device:  # noqa: D102, N802
        self._check()
        if uuid not in self.mig:
            raise NVMLError(NOT_FOUND)
        return self.mig[uuid]

    def nvmlDeviceGetUUID(self, device: Device) -> str:  # noqa: D102, N802
        self._check(device)
        return device.uuid

    def nvmlDeviceGetName(self, device: Device) -> str:  # noqa: D102, N802
        self._check(device)
        return device.name

    def nvmlDeviceGetMemoryInfo(self, device: Device) -> Any:  # noqa: D102, N802
        self._check(device)
        _fail(device.memory_error)
        free = device.total - device.used
        return SimpleNamespace(total=device.total, used=device.used, free=free)

    def nvmlDeviceGetUtilizationRates(self, device: Device) -> Any:  # noqa: D102, N802
        self._check(device)
        _fail(device.load_error)
        return SimpleNamespace(gpu=device.load, memory=0)

    def _check(self, device: Device | None = None) -> None:
        """Every question: NVML has to be open, and a GPU that is lost answers nothing."""
        self.asked()
        if not self.opened:
            raise NVMLError(UNINITIALIZED)
        if device is not None:
            _fail(device.error)


def _fail(code: int) -> None:
    if code:
        raise NVMLError(code)
