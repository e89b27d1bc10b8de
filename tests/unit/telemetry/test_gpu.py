"""GPU figures: which GPUs, what a driver does not tell, and life without a GPU or driver."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from comfyui_telemetry import _gpu, semconv
from comfyui_telemetry._gpu import Gpus, NoGpuError
from comfyui_telemetry.testing import Captured, capture, check_declared
from tests.support import nvml
from tests.support.nvml import Device, FakeNvml, NVMLError
from tests.support.telemetry import until


@pytest.fixture(autouse=True)
def _plain_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(_gpu, "_CONTROL_DEVICE", tmp_path / "nvidiactl")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a stand-in the ``pynvml`` of this process."""

    def install(*devices: Device, **options: Any) -> FakeNvml:
        fake = FakeNvml(*devices, **options)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


def _ids(trouble: list[Exception] | None = None) -> list[str]:
    gpus = Gpus((trouble if trouble is not None else []).append)
    try:
        return [reading.id for reading in gpus.read()]
    finally:
        gpus.close()


def test_memory_and_load_of_each_gpu_are_told(use: Any) -> None:
    """As metrics for each, and in the heartbeat for the fullest and the busiest."""
    use(Device("GPU-a", used=20 * 2**30, load=90), Device("GPU-b", used=60 * 2**30, load=10))
    with capture(role="service", service_heartbeat_s=0.01) as captured:
        until(lambda: bool(_beats_with_gpu(captured)))
        beat = _beats_with_gpu(captured)[0]
        points = {(p.name, p.attributes.get(semconv.HW_ID)): p for p in captured.metrics()}
        assert check_declared(captured.records, (), captured.metrics()) == []
    assert beat[semconv.HW_GPU_MEMORY_UTILIZATION] == 0.75
    assert beat[semconv.HW_GPU_UTILIZATION] == 0.9
    assert points[semconv.METRIC_GPU_MEMORY_LIMIT, "GPU-b"].value == 80 * 2**30
    assert points[semconv.METRIC_GPU_MEMORY_USAGE, "GPU-a"].value == 20 * 2**30
    assert points[semconv.METRIC_GPU_MEMORY_UTILIZATION, "GPU-a"].value == 0.25
    load = points[semconv.METRIC_GPU_UTILIZATION, "GPU-b"]
    assert load.value == 0.1
    assert load.attributes[semconv.HW_GPU_TASK] == "general"
    assert load.attributes[semconv.HW_NAME] == "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("visible", "shown"),
    [
        ("1", ["GPU-bb"]),
        ("1, 0", ["GPU-bb", "GPU-ab"]),
        ("GPU-b", ["GPU-bb"]),
        ("GPU-ab,GPU-ac", ["GPU-ab", "GPU-ac"]),
        ("0,9,1", ["GPU-ab"]),
        ("0,GPU-a,1", ["GPU-ab"]),
        ("MIG-1", ["MIG-1"]),
        ("0,MIG-none", ["GPU-ab"]),
    ],
)
def test_only_gpus_that_cuda_shows_are_told(
    visible: str, shown: list[str], use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers, unambiguous beginnings of UUIDs and MIG instances, up to the first wrong entry."""
    use(Device("GPU-ab"), Device("GPU-bb"), Device("GPU-ac"), mig=(Device("MIG-1"),))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert _ids() == shown


@pytest.mark.parametrize("visible", ["", "-1", "none"])
def test_a_process_that_may_use_no_gpu_tells_none(
    visible: str, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's GPU is not its own; the driver is left again."""
    fake = use(Device("GPU-a"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(NoGpuError, match="visible"):
        _ids()
    assert fake.opened == 0


@pytest.mark.parametrize("code", [nvml.NOT_SUPPORTED, nvml.NO_PERMISSION])
def test_what_a_driver_does_not_tell_is_left_out(code: int, use: Any) -> None:
    """A GPU cut up by MIG has no load: memory is told all the same, and nothing is said."""
    fake = use(Device("GPU-a"))
    fake.devices[0].load_error = code
    trouble: list[Exception] = []
    gpus = Gpus(trouble.append)
    (reading,) = gpus.read()
    assert (reading.utilization, reading.memory_utilization) == (None, 0.25)
    fake.devices[0].memory_error = code
    (reading,) = gpus.read()
    assert reading.memory_utilization is reading.memory_total is None
    assert trouble == []


@pytest.mark.parametrize("has_library", [True, False])
def test_a_machine_without_a_gpu_is_said_once_and_is_no_loss(
    has_library: bool, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No NVIDIA driver, with or without nvidia-ml-py: one plain record."""
    if has_library:
        use().init_error = nvml.LIBRARY_NOT_FOUND
    else:
        monkeypatch.setitem(sys.modules, "pynvml", None)
    with capture(role="service") as captured:
        until(lambda: bool(captured.records))
        captured.telemetry.flush()
    (record,) = captured.records
    assert record["message"].startswith("There are no GPU figures: there is no NVIDIA driver")
    assert record["log.level"] == "info"


def test_a_gpu_without_the_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's device is there, nvidia-ml-py is not: that is missing telemetry."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    _gpu._CONTROL_DEVICE.touch()
    record = _said_loss()
    assert "pynvml" in record["message"]


def test_a_driver_that_is_not_loaded_is_said(use: Any) -> None:
    """Its library is there, so a GPU was meant to be."""
    use(Device("GPU-a")).init_error = nvml.DRIVER_NOT_LOADED
    assert f"NVML error {nvml.DRIVER_NOT_LOADED}" in _said_loss()["message"]


def test_a_lost_gpu_is_said_and_the_others_are_told(use: Any, monkeypatch: Any) -> None:
    """It has fallen off the bus: its figures end, the neighbour's go on, numbers stay."""
    fake = use(Device("GPU-a"), Device("GPU-b"))
    trouble: list[Exception] = []
    gpus = Gpus(trouble.append)
    fake.devices[0].error = nvml.GPU_IS_LOST
    assert [reading.id for reading in gpus.read()] == ["GPU-b"]
    assert [error.value for error in trouble if isinstance(error, NVMLError)] == [15]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert _ids() == ["GPU-b"]


def test_a_driver_that_fails_while_it_is_opened_is_left(use: Any) -> None:
    """The library counts who has it open: one that was not closed keeps a dead driver."""
    fake = use(Device("GPU-a"))
    faults = iter([nvml.GPU_IS_LOST])

    def fail_once() -> None:
        for code in faults:
            raise NVMLError(code)

    fake.asked = fail_once
    with pytest.raises(NVMLError):
        _ids()
    assert fake.opened == 0


def test_figures_come_back_after_a_reset(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only GPU is lost, said once, and read again when it has returned."""
    monkeypatch.setattr(_gpu, "_READ_S", 0.01)
    monkeypatch.setattr(_gpu, "_RETRY_S", 0.01)
    fake = use(Device("GPU-a"))
    with capture(role="service") as captured:
        vitals = captured.telemetry._vitals
        assert vitals is not None
        until(lambda: bool(vitals.gpus()))
        fake.devices[0].error = nvml.GPU_IS_LOST
        until(lambda: not vitals.gpus())
        until(lambda: bool(captured.events(semconv.EVENT_TELEMETRY_DEGRADED)))
        fake.devices[0].error = 0
        until(lambda: bool(vitals.gpus()))
    until(lambda: fake.opened == 0)
    assert len(captured.events(semconv.EVENT_TELEMETRY_DEGRADED)) == 1


def test_a_driver_that_hangs_holds_nobody_up(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heart beats on without GPU figures, shutdown does not wait, and it is said."""
    monkeypatch.setattr(_gpu, "_READ_S", 0.0)
    monkeypatch.setattr(_gpu, "_STALE_S", 0.05)
    fake, go_on, hangs = use(Device("GPU-a")), threading.Event(), threading.Event()
    with capture(role="service", service_heartbeat_s=0.01) as captured:
        until(lambda: bool(_beats_with_gpu(captured)))

        def hang() -> None:
            hangs.set()
            go_on.wait(20)

        fake.asked = hang
        assert hangs.wait(20)
        until(lambda: bool(captured.events(semconv.EVENT_TELEMETRY_DEGRADED)))
        beats = len(captured.events(semconv.EVENT_SERVICE_HEARTBEAT))
        until(lambda: len(captured.events(semconv.EVENT_SERVICE_HEARTBEAT)) > beats + 1)
        last = captured.events(semconv.EVENT_SERVICE_HEARTBEAT)[-1]
        assert semconv.HW_GPU_MEMORY_UTILIZATION not in last
    assert "no answer for" in captured.record(semconv.EVENT_TELEMETRY_DEGRADED)["message"]
    go_on.set()


def _beats_with_gpu(captured: Captured) -> list[dict[str, Any]]:
    beats = captured.events(semconv.EVENT_SERVICE_HEARTBEAT)
    return [beat for beat in beats if semconv.HW_GPU_UTILIZATION in beat]


def _said_loss() -> dict[str, Any]:
    with capture(role="service") as captured:
        until(lambda: bool(captured.events(semconv.EVENT_TELEMETRY_DEGRADED)))
    record = captured.record(semconv.EVENT_TELEMETRY_DEGRADED)
    assert record[semconv.TELEMETRY_REASON] == "gpu_unreadable"
    assert record[semconv.TELEMETRY_DROPPED] == 0
    return record
