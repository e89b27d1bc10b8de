"""What the folder in ``custom_nodes`` does when ComfyUI imports it."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from comfyui_telemetry import semconv
from comfyui_telemetry.comfyui import start
from tests.unit.comfyui.conftest import Comfy

FOLDER = Path(__file__).parents[3] / "instrumentation/custom_node/comfyui_ddcolor_telemetry"


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")


def _import(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("pack_under_test", folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Return a copy of the folder with settings, as it lies in ``custom_nodes``."""
    copy = tmp_path / "pack"
    copy.mkdir()
    (copy / "__init__.py").write_text((FOLDER / "__init__.py").read_text())
    settings = {"service_name": "studio-1", "log_file": str(tmp_path / "log" / "comfy.jsonl")}
    (copy / "settings.json").write_text(json.dumps(settings))
    return copy


@pytest.mark.parametrize("era", ["before_2024_08", "v0_33"])
def test_the_folder_observes_comfyui(comfy: Comfy, pack: Path, tmp_path: Path) -> None:
    """It has no nodes, writes to the file of its settings and leaves the console's level."""
    level = logging.getLogger().level
    module = _import(pack)
    try:
        assert module.NODE_CLASS_MAPPINGS == {}
        assert logging.getLogger().level == level
        comfy.run({"9": {"class_type": "Save", "inputs": {}}})
    finally:
        module.HOOKS.uninstall()
        module.HOOKS.telemetry.shutdown()
    text = (tmp_path / "log" / "comfy.jsonl").read_bytes()
    records = [orjson.loads(line) for line in text.splitlines()]
    names = [record.get(semconv.EVENT_NAME) for record in records]
    assert semconv.EVENT_SERVICE_STARTED in names
    assert semconv.EVENT_PROMPT_FINISHED in names
    assert {record["service.name"] for record in records} == {"studio-1"}


def test_without_the_package_comfyui_is_left_alone(
    pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so once, with what to do, and imports all the same."""
    monkeypatch.setitem(sys.modules, "comfyui_telemetry.comfyui", None)
    module = _import(pack)
    assert module.NODE_CLASS_MAPPINGS == {}
    assert not hasattr(module, "HOOKS")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert 'pip install "ddcolor-observability[comfyui]"' in lines[0]


def test_it_can_be_switched_off(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """COMFYUI_TELEMETRY_ENABLED=false: nothing is configured, nothing is hooked."""
    monkeypatch.setenv("COMFYUI_TELEMETRY_ENABLED", "false")
    assert _import(pack).HOOKS is None


@pytest.mark.parametrize("era", ["v0_33"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "settings.json cannot be read and is left out"),
        ("[]", "settings.json is no JSON object and is left out"),
        ('{"log_fiel": "x"}', "settings.json has unknown settings: log_fiel"),
        ('{"output_check": "some"}', "output_check is 'some': give one of photos, all, off"),
    ],
)
@pytest.mark.usefixtures("comfy")
def test_wrong_settings_are_said_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    """ComfyUI is observed with the defaults."""
    monkeypatch.setenv("COMFYUI_TELEMETRY_LOG_FILE", str(tmp_path / "c.jsonl"))
    (tmp_path / "settings.json").write_text(text)
    hooks = start(tmp_path / "settings.json")
    assert hooks is not None
    hooks.uninstall()
    hooks.telemetry.shutdown()
    assert complaint in (tmp_path / "c.jsonl").read_text()


def test_it_never_raises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong is one line on stderr."""
    monkeypatch.setenv("COMFYUI_TELEMETRY_LOG_FILE", str(tmp_path / "c.jsonl"))

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no telemetry today")

    monkeypatch.setattr("comfyui_telemetry.comfyui._start.configure", broken)
    assert start() is None
    assert "no telemetry today" in capsys.readouterr().err
