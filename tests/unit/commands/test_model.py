"""ddcolor-obs model check: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from click.testing import CliRunner, Result

from ddcolor_operations.cli import cli
from ddcolor_service.models import ASSETS, DEMO_NAME


def check(*arguments: str) -> Result:
    """Run the command on the processor."""
    return CliRunner().invoke(cli, ["model", "check", *arguments, "--device", "cpu"])


def test_a_checkpoint_that_fits(tmp_path: Path) -> None:
    """The sizes of the workflow are tried, the running one is the measure; the status is 0."""
    workflow = tmp_path / "workflow.json"
    colorize = {"image": ["1", 0], "model_input_size": 96, "checkpoint": DEMO_NAME}
    workflow.write_text(
        json.dumps(
            {
                "1": {"class_type": "LoadImage", "inputs": {"image": "a.jpg"}},
                "2": {"class_type": "DDColor_Colorize", "inputs": colorize},
            }
        )
    )
    file = str(ASSETS / DEMO_NAME)
    result = check(file, "--workflow", str(workflow), "--running", file, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["fits"] is True
    assert [size["size"] for size in said["sizes"]] == [96]
    assert said["slowdown"] > 0


def test_a_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    """A file of another network ends with 1 and says what is wrong with it."""
    other = tmp_path / "other.pth"
    torch.save({"params": {"encoder.weight": torch.zeros(3)}}, other)
    result = check(str(other))
    assert result.exit_code == 1
    assert "does not fit" in result.stdout


def test_a_workflow_that_is_none(tmp_path: Path) -> None:
    """A file that is no workflow is named, with the reason."""
    workflow = tmp_path / "workflow.json"
    workflow.write_text("{")
    result = check(str(ASSETS / DEMO_NAME), "--workflow", str(workflow))
    assert result.exit_code == 1
    assert "not a usable workflow" in result.stderr
