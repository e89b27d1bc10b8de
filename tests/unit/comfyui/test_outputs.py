"""The check of saved pictures."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comfyui_telemetry import semconv
from comfyui_telemetry.comfyui._running import RunningPrompt
from comfyui_telemetry.comfyui.outputs import OutputCheck, fault_of
from comfyui_telemetry.testing import Captured


def _save(path: Path, colours: list[int], mode: str = "L") -> Path:
    picture = Image.new(mode, (len(colours), 1))
    picture.putdata(colours if mode == "L" else [(colour,) * 3 for colour in colours])
    picture.save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("colours", "fault"),
    [([0, 0], "is black all over"), ([7, 7], "is of one colour"), ([7, 8], None)],
)
def test_a_plain_picture_is_a_fault(
    tmp_path: Path, mode: str, colours: list[int], fault: str | None
) -> None:
    """Black and one colour are told apart; a difference of one level is a picture."""
    path = _save(tmp_path / "a.png", colours, mode)
    assert fault_of(path) == fault
    assert fault_of(path, may_be_plain=True) is None


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    """Empty and unreadable files are faults in every mode, a missing one is none."""
    empty, cut = tmp_path / "empty.png", tmp_path / "cut.png"
    empty.touch()
    whole = _save(tmp_path / "whole.png", [*range(256)] * 40).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    assert fault_of(empty, may_be_plain=True) == "is empty"
    assert fault_of(cut, may_be_plain=True) == "cannot be read (OSError)"
    assert fault_of(tmp_path / "gone.png") is None


LOADED = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
}
DRAWN = {**LOADED, "1": {"class_type": "EmptyImage", "inputs": {"color": 0}}}


@pytest.mark.parametrize(
    ("prompt", "mode", "records"), [(LOADED, "photos", 1), (DRAWN, "photos", 0), (DRAWN, "all", 1)]
)
def test_a_damaged_photo_is_said_with_its_node(
    captured: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prompt: dict[str, Any],
    mode: str,
    records: int,
) -> None:
    """In the node's trace, once a picture; a picture that was drawn may be plain."""
    _save(tmp_path / "out.png", [0, 0])
    _save(tmp_path.parent / "outside.png", [0, 0])
    folders = types.SimpleNamespace(get_output_directory=lambda: str(tmp_path))
    monkeypatch.setitem(sys.modules, "folder_paths", folders)
    images = [
        {"filename": "out.png", "subfolder": "", "type": "output"},
        {"filename": "out.png", "subfolder": "", "type": "temp"},
        {"filename": "outside.png", "subfolder": "..", "type": "output"},
        {"filename": "notes.txt", "subfolder": "", "type": "output"},
    ]
    executor = types.SimpleNamespace(history_result={"outputs": {"9": {"images": images}}})
    check = OutputCheck(captured.telemetry.recorder.losses, mode)
    with captured.telemetry.recorder.prompt("p-1", node_count=3) as record:
        running = RunningPrompt(record, executor, "p-1", prompt)
        node = running.enter("9", "SaveImage", None)
        running.leave("9")
        check.look_at(running)
    check.close()
    said = captured.events(semconv.EVENT_OUTPUT_DAMAGED)
    assert len(said) == records
    for one in said:
        assert one["message"] == ("Damaged output: node SaveImage (9): PNG file is black all over")
        assert one["span_id"] == captured.events(semconv.EVENT_NODE_FINISHED)[0]["span_id"]
        assert one[semconv.ERROR_KIND] == "output_damaged"
    assert node.node_id == "9"
