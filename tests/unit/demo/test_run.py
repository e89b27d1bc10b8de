"""The order of a performance, with a service that is played by a table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from comfyui_telemetry.catalogue import CATALOGUE, Text
from ddcolor_operations.demo import run as run_module
from ddcolor_operations.demo.client import DemoError, Finished, ServiceClient
from ddcolor_operations.demo.evidence import Seen
from ddcolor_operations.demo.faults import PLAN, Stage
from ddcolor_operations.demo.photos import Sample, restore, send, workflow
from ddcolor_operations.demo.run import Pace, Performance
from ddcolor_operations.report.facts import Photo
from ddcolor_operations.stack import RunningStack, StackConfig
from tests.support.runs import CHANNELS

IMAGE = {"filename": "DDColor_00001_.png", "subfolder": "", "type": "output"}


class _Answer:
    """The part of an HTTP answer that is read."""

    def __init__(self, *, ok: bool) -> None:
        self.ok = ok
        self.status_code = 200 if ok else 400
        self.text = "no picture"
        self.headers = {"X-Trace-Id": "ab" * 16}

    def json(self) -> dict[str, str]:
        return {"name": "stored.png"}


class _PlayedService:
    """Fails as often as it was armed to; keeps what it was asked in ``log``."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.prompts: list[Mapping[str, Any]] = []
        self._failures = 0

    def upload(self, file: Path, _name: str) -> _Answer:
        self.log.append(f"upload {file.suffix}")
        return _Answer(ok=file.read_bytes()[:4] != b"This")

    def arm(self, kind: str, *, count: int = 1, **_: float) -> None:
        self.log.append(f"arm {kind} {count}")
        self._failures = count

    def queue(self, prompt: Mapping[str, Any], _scenario: str, _trace_id: str) -> str:
        self.prompts.append(prompt)
        return f"p{len(self.prompts)}"

    def wait(self, _prompt_id: str, _timeout_s: float) -> Finished:
        if self._failures:
            self._failures -= 1
            self.log.append("failed")
            return Finished(success=False, error="it broke", images=())
        self.log.append("success")
        return Finished(success=True, error=None, images=(IMAGE,))

    def view(self, _image: Mapping[str, str]) -> bytes:
        return b"picture"


class _Quiet:
    """Keeps what would be shown."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bool]] = []

    def doing(self, text: Text) -> None:
        """Show nothing."""

    def done(self, text: Text, *, good: bool = True) -> None:
        self.lines.append((text.en, good))


@pytest.fixture
def service() -> _PlayedService:
    """Return a service that is played."""
    return _PlayedService()


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """Return a photo to send."""
    file = tmp_path / "person-1.png"
    file.write_bytes(b"\x89PNG")
    return Sample("person", file)


def played(service: _PlayedService) -> ServiceClient:
    """Return the played service as a client."""
    return cast("ServiceClient", service)


def test_each_fault_of_the_plan_expects_what_its_level_says() -> None:
    """The plan covers the six faults; channels and levels follow the house's table."""
    found = {fault.name: [(item.kind, item.level) for item in fault.expected] for fault in PLAN}

    assert found == {
        "undecodable_upload": [("decode_failed", 2)],
        "missing_checkpoint": [("model_not_loaded", 3)],
        "out_of_memory": [("out_of_memory", 2)],
        "slow_inference": [("inference_timeout", 1)],
        "three_failures": [
            ("execution_error", 2),
            ("execution_error", 3),
            ("error_rate_high", 2),
        ],
        "killed_process": [("service_down", 3)],
    }
    for expected in itertools.chain.from_iterable(fault.expected for fault in PLAN):
        assert expected.channels == CHANNELS[expected.level]
        assert expected.level >= CATALOGUE[expected.kind].level


def test_no_two_faults_share_an_error() -> None:
    """The same error speaks once in five minutes, so each fault has a kind of its own."""
    kinds = [item.kind for fault in PLAN for item in fault.expected if item.level != 3]

    assert len(kinds) == len(set(kinds))


def test_a_photo_is_sent_under_a_new_name_each_time(
    service: _PlayedService, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt that the service knows would come from its cache and fail no more."""
    names: list[str] = []

    def upload(_file: Path, name: str) -> _Answer:
        names.append(name)
        return _Answer(ok=True)

    monkeypatch.setattr(service, "upload", upload)
    send(played(service), sample)
    send(played(service), sample)

    assert len(set(names)) == 2
    assert all(name.endswith(".png") for name in names)


def test_the_shipped_workflow_gets_the_photo() -> None:
    """LoadImage reads the upload; the rest of the workflow stays as it ships."""
    prompt = workflow("building", "mine.png")
    (load,) = (node for node in prompt.values() if node["class_type"] == "LoadImage")

    assert load["inputs"]["image"] == "mine.png"
    assert {node["class_type"] for node in prompt.values()} == {
        "LoadImage",
        "DDColor_Colorize",
        "SaveImage",
    }


def test_a_restored_photo_is_saved(service: _PlayedService, sample: Sample, tmp_path: Path) -> None:
    """The picture lies where the facts say."""
    photo = restore(played(service), sample, tmp_path / "out")

    assert photo.output.read_bytes() == b"picture"
    assert photo.scenario == "person"
    assert len(photo.trace_id) == 32


def test_a_photo_that_cannot_be_restored_is_an_error(
    service: _PlayedService, sample: Sample, tmp_path: Path
) -> None:
    """The error names the photo, the reason and the trace."""
    service.arm("out_of_memory")

    with pytest.raises(DemoError, match=r"person-1\.png could not be restored: it broke"):
        restore(played(service), sample, tmp_path)


def test_a_good_photo_follows_each_fault(
    service: _PlayedService, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of failures end before the next fault, and alerts that stay away stop nothing."""
    screen = _Quiet()
    monkeypatch.setattr(run_module, "ServiceClient", lambda *_: service)
    monkeypatch.setattr(run_module, "samples", lambda **_: [sample])
    monkeypatch.setattr(
        run_module, "Observer", lambda *_: type("Blind", (), {"look": lambda _: Seen([], [])})()
    )
    stack = RunningStack(StackConfig.create(state=tmp_path / "state", environ={}))
    plan = [f for f in PLAN if f.name in {"undecodable_upload", "three_failures"}]
    performed = Performance(stack, tmp_path / "out", screen, Pace(0.0, 0.0)).run(plan)

    assert service.log == [
        *("upload .png", "success"),
        *("upload .jpg", "upload .png", "success"),
        "arm execution_error 3",
        *("upload .png", "failed") * 3,
        *("upload .png", "success"),
    ]
    assert [type(photo) for photo in performed.photos] == [Photo]
    assert [i.name for i in performed.incidents] == ["undecodable_upload", "three_failures"]
    assert performed.incidents[0].trace_id == "ab" * 16
    assert all(i.recovered_s is not None for i in performed.incidents)
    assert [good for _, good in screen.lines] == [True, False, False]
    assert "decode_failed L2 → WeCom" in screen.lines[1][0]


def test_an_armed_fault_that_does_not_happen_ends_the_demo(
    service: _PlayedService, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt that succeeds in spite of the fault is no fault to wait for."""
    monkeypatch.setattr(service, "arm", lambda *_, **__: None)
    fault = next(fault for fault in PLAN if fault.name == "out_of_memory")

    with pytest.raises(DemoError, match="a prompt succeeded all the same"):
        fault.cause(Stage(played(service), cast("RunningStack", None), sample, tmp_path))


def test_an_upload_that_should_be_refused_and_is_not_ends_the_demo(
    service: _PlayedService, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that takes anything is told."""
    monkeypatch.setattr(service, "upload", lambda *_: _Answer(ok=True))

    with pytest.raises(DemoError, match="took an upload that is no picture"):
        PLAN[0].cause(Stage(played(service), cast("RunningStack", None), sample, tmp_path))


def test_a_killed_process_is_over_at_the_kill(
    service: _PlayedService, sample: Sample, tmp_path: Path
) -> None:
    """Recovery counts from the kill, so it includes the restart."""
    asked: list[str] = []

    class Stack:
        def kill(self, part: str) -> int:
            asked.append(f"kill {part}")
            return 7

        def wait_ready(self, part: str, *, not_pid: int) -> None:
            asked.append(f"wait {part} not {not_pid}")

    caused = PLAN[-1].cause(Stage(played(service), cast("RunningStack", Stack()), sample, tmp_path))

    assert asked == ["kill service", "wait service not 7"]
    assert caused.over_at - caused.caused_at == timedelta(0)
