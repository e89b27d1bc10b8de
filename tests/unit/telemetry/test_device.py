"""How long nodes keep the GPU, told by CUDA events without waiting for any."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from comfyui_telemetry import _device, semconv
from comfyui_telemetry.testing import Captured, capture, check_declared
from tests.support.cuda import FakeTorch
from tests.support.telemetry import until


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> FakeTorch:
    """Return the ``torch`` of this process: CUDA in use, a GPU that has done nothing yet."""
    fake = FakeTorch()
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake


@pytest.fixture
def captured() -> Iterator[Captured]:
    """Yield a telemetry that times the device."""
    with capture(device_timing=True) as found:
        yield found


def _node(captured: Captured, error: Exception | None = None) -> None:
    with (
        contextlib.suppress(ValueError),
        captured.telemetry.recorder.prompt("p", node_count=1) as prompt,
        prompt.node("2", "DDColor_Colorize"),
    ):
        if error is not None:
            raise error


def _finished(captured: Captured) -> list[dict[str, Any]]:
    return captured.events(semconv.EVENT_NODE_FINISHED)


def test_the_record_comes_when_the_gpu_has_come_so_far(
    torch: FakeTorch, captured: Captured
) -> None:
    """The worker goes on; span and record carry the host's end and the device's seconds."""
    _node(captured)
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert _finished(captured) == []
    torch.catch_up()
    until(lambda: bool(_finished(captured)))
    (record,) = _finished(captured)
    assert record[semconv.DEVICE_DURATION] == 0.25
    assert record["@timestamp"] <= captured.record(semconv.EVENT_PROMPT_FINISHED)["@timestamp"]
    attributes = captured.span("node DDColor_Colorize").attributes or {}
    assert attributes[semconv.DEVICE_DURATION] == 0.25
    assert check_declared(captured.records, captured.spans, captured.metrics()) == []


def test_shutdown_does_not_wait_for_the_gpu(torch: FakeTorch) -> None:
    """A GPU that hangs costs the figure, not the record."""
    with capture(device_timing=True) as captured:
        _node(captured)
    (record,) = _finished(captured)
    assert semconv.DEVICE_DURATION not in record
    assert len(torch.recorded) == 2


@pytest.mark.parametrize("trouble", ["late", "before", "meanwhile", "after"])
def test_a_figure_that_cannot_be_had_is_left_out(
    torch: FakeTorch, captured: Captured, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too late, or an error of CUDA at any time, which the node's own code meets as well."""
    error = RuntimeError("CUDA error: an illegal memory access was encountered")
    if trouble == "late":
        monkeypatch.setattr(_device, "_GIVE_UP_S", 0.0)
    if trouble == "before":
        torch.error = error
    with (
        captured.telemetry.recorder.prompt("p", node_count=1) as prompt,
        prompt.node("2", "DDColor_Colorize"),
    ):
        if trouble == "meanwhile":
            torch.error = error
    if trouble == "after":
        torch.error = error
    until(lambda: bool(_finished(captured)))
    assert semconv.DEVICE_DURATION not in _finished(captured)[0]
    assert captured.telemetry.dropped() == {}


@pytest.mark.parametrize("case", ["no torch", "not initialized", "capturing", "off"])
def test_nothing_is_recorded_where_it_must_not_be(
    torch: FakeTorch, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA is not touched before the work does, nor while a graph is captured, nor unasked."""
    if case == "no torch":
        monkeypatch.setitem(sys.modules, "torch", None)
    torch.initialized = case != "not initialized"
    torch.capturing = case == "capturing"
    with capture(device_timing=case != "off") as captured:
        _node(captured)
        assert len(_finished(captured)) == 1
    assert torch.recorded == []


def test_a_failure_is_told_at_once(torch: FakeTorch, captured: Captured) -> None:
    """Only a node that was executed waits for its figure."""
    _node(captured, ValueError("broken"))
    assert _finished(captured)[0][semconv.NODE_OUTCOME] == "failed"


def test_a_node_that_waited_for_others_has_no_figure(torch: FakeTorch, captured: Captured) -> None:
    """The stream between its events holds their work."""
    with captured.telemetry.recorder.prompt("p", node_count=1) as prompt:
        node = prompt.node("2", "Expand")
        node.begin()
        node.suspend(waits=True)
        node.resume()
        node.end()
    assert semconv.DEVICE_DURATION not in _finished(captured)[0]


def test_what_waits_is_bounded(torch: FakeTorch, captured: Captured) -> None:
    """A thousand nodes wait for their figures; before another one the oldest is told without."""
    with captured.telemetry.recorder.prompt("p", node_count=1) as prompt:
        for number in range(1_005):
            with prompt.node(str(number), "A"):
                pass
    told = [record[semconv.NODE_ID] for record in _finished(captured)]
    assert sorted(told, key=int) == ["0", "1", "2", "3", "4"]
    torch.catch_up()
    until(lambda: len(_finished(captured)) == 1_005)
