"""Checking a checkpoint before a switch: verdict, reasons, figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ddcolor_service.model_check import Asked, asked_by, check_model
from tests.support.small_network import save_small, small_state

NAME = "ddcolor_paper_tiny.pth"


def test_a_good_checkpoint_fits_with_figures(tmp_path: Path) -> None:
    """A usable file gets a verdict, its contents in figures, and one result per size, once each."""
    path = save_small(tmp_path / NAME)
    said: list[str] = []
    found = check_model(path, sizes=[32, 96, 32], device="cpu", say=said.append)
    assert found.fits
    assert found.problems == []
    assert [tried.size for tried in found.sizes] == [32, 96]
    assert all(tried.seconds and tried.spread for tried in found.sizes)
    assert (found.variant, found.layout) == ("custom", "bare")
    assert found.file_bytes == path.stat().st_size
    assert set(found.dtypes) == {"float32", "int64"}
    assert said == [f"reading {NAME}", f"trying {NAME} at 32 px", f"trying {NAME} at 96 px"]


def test_report_is_json_and_compares_with_the_running_model(tmp_path: Path) -> None:
    """Speed is told as a multiple of the running model's, and all of it can be written as JSON."""
    new, old = save_small(tmp_path / NAME), save_small(tmp_path / "old.pth", seed=1)
    found = check_model(new, sizes=[64], device="cpu", running=old)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["fits"] is True
    assert told["running"]["name"] == "old.pth"
    assert told["slowdown"] == pytest.approx(
        told["sizes"][0]["seconds"] / told["running"]["sizes"][0]["seconds"]
    )
    assert str(tmp_path) not in json.dumps(told)


def test_an_unusable_file_does_not_fit(tmp_path: Path) -> None:
    """A broken or absent file is a finding, not an exception."""
    (tmp_path / NAME).write_bytes(b"x")
    broken = check_model(tmp_path / NAME, device="cpu")
    absent = check_model(tmp_path / "absent.pth", device="cpu")
    assert not broken.fits
    assert "damaged" in broken.problems[0]
    assert "no such file" in absent.problems[0]
    assert broken.sizes == []


def test_a_size_off_the_grid_does_not_fit(tmp_path: Path) -> None:
    """A size that the network cannot take is a problem; the other sizes are tried still."""
    found = check_model(save_small(tmp_path / NAME), sizes=[460, 64], device="cpu")
    assert not found.fits
    assert "multiple of 32" in found.problems[0]
    assert found.sizes[1].problem is None


def _colourless(state: dict[str, torch.Tensor]) -> None:
    state["refine_net.0.0.weight_u"].mul_(1e6)  # the weight is divided by it


def _overflowing(state: dict[str, torch.Tensor]) -> None:
    state["encoder.arch.norm3.weight"].fill_(3e38)


@pytest.mark.parametrize(("spoil", "said"), [(_colourless, "one colour"), (_overflowing, "NaN")])
def test_weights_that_load_but_do_not_work_do_not_fit(
    tmp_path: Path, spoil: Any, said: str
) -> None:
    """Weights of the right shape that give no colour or NaN are found by the forward pass."""
    state = small_state()
    spoil(state)
    torch.save(state, tmp_path / NAME)
    found = check_model(tmp_path / NAME, sizes=[64], device="cpu")
    assert said in found.problems[0]


def test_sizes_are_read_from_both_forms_of_a_workflow() -> None:
    """Every DDColor node counts; a linked size is unknown."""
    api = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
        "2": {
            "class_type": "DDColor_Colorize",
            "inputs": {"image": ["1", 0], "model_input_size": 512, "checkpoint": NAME},
        },
        "7": {"class_type": "DDColor_Colorize", "inputs": {"model_input_size": ["9", 0]}},
    }
    ui = {"nodes": [{"id": 2, "type": "DDColor_Colorize", "widgets_values": [960, NAME]}]}
    assert asked_by(api) == [Asked("2", 512, NAME), Asked("7", None, None)]
    assert asked_by(ui) == [Asked("2", 960, NAME)]


def test_a_workflow_without_the_node_is_refused() -> None:
    """A workflow that never asks for colour is an error that says so."""
    with pytest.raises(ValueError, match="no DDColor_Colorize node"):
        asked_by({"1": {"class_type": "LoadImage"}, "extra": "text"})
    with pytest.raises(ValueError, match="no DDColor_Colorize node"):
        asked_by({"nodes": [{"id": 1, "type": "Note"}]})
