"""The commands that put the pack into ComfyUI, and the one that reads its log."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from comfyui_telemetry import semconv
from ddcolor_operations.comfyui.cli import comfyui as command
from ddcolor_operations.comfyui.pack import FOLDER, PackError, install_pack, uninstall_pack
from ddcolor_operations.comfyui.read_log import follow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that looks like a ComfyUI's."""
    root = tmp_path / "ComfyUI"
    (root / "custom_nodes").mkdir(parents=True)
    for name in ("execution.py", "server.py", "nodes.py"):
        (root / name).touch()
    return root


def test_install_and_uninstall_leave_nothing(folder: Path) -> None:
    """Only our folder comes and goes."""
    target = install_pack(folder, {})
    assert target == folder / "custom_nodes" / FOLDER
    assert [path.name for path in target.iterdir()] == ["__init__.py"]
    (target / "__pycache__").mkdir()
    assert uninstall_pack(folder) == target
    assert list((folder / "custom_nodes").iterdir()) == []


def test_settings_are_kept_over_an_upgrade(folder: Path) -> None:
    """A second install changes what it names only."""
    install_pack(folder, {"service_name": "a", "log_file": "/x.jsonl"})
    target = install_pack(folder, {"service_name": "b"})
    told = json.loads((target / "settings.json").read_text())
    assert told == {"service_name": "b", "log_file": "/x.jsonl"}


def test_what_is_not_ours_is_left_alone(folder: Path) -> None:
    """Neither overwritten nor deleted."""
    other = folder / "custom_nodes" / FOLDER
    other.mkdir()
    (other / "__init__.py").write_text("something = 'else'\n")
    with pytest.raises(PackError, match="is not this pack"):
        install_pack(folder, {})
    with pytest.raises(PackError, match="is not this pack"):
        uninstall_pack(folder)
    assert (other / "__init__.py").read_text() == "something = 'else'\n"


@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_a_folder_that_is_no_comfyui_is_refused(tmp_path: Path, action: str) -> None:
    """The message names what is missing and what to give."""
    result = CliRunner().invoke(command, [action, str(tmp_path)])
    assert result.exit_code == 1
    assert "is no ComfyUI folder: it has no execution.py" in result.output
    assert "the folder that holds main.py" in result.output.replace("\n", " ")


def test_nothing_to_take_out_is_said(folder: Path) -> None:
    """Uninstall without install is an error."""
    result = CliRunner().invoke(command, ["uninstall", str(folder)])
    assert result.exit_code == 1
    assert "nothing to take out" in result.output


def test_install_says_what_comes_next(folder: Path) -> None:
    """The pip command for ComfyUI's own Python, and the restart."""
    options = ["--service-name", "studio", "--no-health-route", "--output-check", "off"]
    result = CliRunner().invoke(command, ["install", str(folder), *options])
    assert result.exit_code == 0, result.output
    assert '-m pip install "ddcolor-observability[comfyui]"' in result.output
    told = json.loads((folder / "custom_nodes" / FOLDER / "settings.json").read_text())
    assert told == {"service_name": "studio", "health_route": False, "output_check": "off"}


def test_a_url_is_wanted() -> None:
    """Watch names what it was given and what it wants."""
    result = CliRunner().invoke(command, ["watch", "localhost:8188"])
    assert result.exit_code == 2
    assert "'localhost:8188' is no URL" in result.output


def test_read_log_tells_records_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each prompt of the lines is in the file of records."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    out = tmp_path / "out.jsonl"
    lines = "got prompt\nPrompt executed in 0.11 seconds\n"
    result = CliRunner().invoke(command, ["read-log", "-", "--log-file", str(out)], input=lines)
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in out.read_text().splitlines()]
    finished = [r for r in records if r.get(semconv.EVENT_NAME) == semconv.EVENT_PROMPT_FINISHED]
    assert [record[semconv.PROMPT_DURATION] for record in finished] == [0.11]


def test_a_followed_file_may_grow_be_cut_and_be_replaced(tmp_path: Path) -> None:
    """Lines come whole and once; what was there before the start is passed over."""
    path, stop = tmp_path / "comfy.log", threading.Event()
    path.write_text("old\n")
    lines = follow(path, stop)
    steps = [
        lambda: path.open("a").write("first\n"),
        lambda: path.write_text("cut\n"),
        lambda: (path.rename(tmp_path / "comfy.log.1"), path.write_text("rotated\n")),
    ]
    found = []
    for step in steps:
        done = threading.Timer(0.05, step)
        done.start()
        found.append(next(lines))
        done.join()
    stop.set()
    assert found == ["first", "cut", "rotated"]
    assert list(lines) == []
