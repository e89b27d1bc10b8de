"""``ddcolor-obs rules`` as a person runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ddcolor_operations.commands.rules import rules
from ddcolor_operations.layout import project_root

pytestmark = pytest.mark.timeout(120)

HOME = project_root() / "elastalert_rules"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a rule file that may be spoilt, with what it needs beside it."""
    shutil.copytree(HOME / "shared", tmp_path / "shared")
    for folder in ("rules", "corpus"):
        (tmp_path / folder).mkdir()
        shutil.copy(HOME / folder / "queue_wait.yaml", tmp_path / folder)
    return tmp_path / "rules" / "queue_wait.yaml"


def test_a_rule_that_does_what_it_should_ends_with_0() -> None:
    """Each case is a line, and the last line counts."""
    result = CliRunner().invoke(rules, ["test", "queue_wait"])
    assert result.exit_code == 0, result.output
    assert "ok   queue_wait: services are looked at apart" in result.output
    assert "5 cases of 1 rules, 0 failed" in result.output


def test_a_rule_that_does_not_ends_with_1_and_the_difference(copy: Path) -> None:
    """A limit that was lowered fires where the corpus expects nothing; scripts read it as JSON."""
    copy.write_text(copy.read_text("utf-8").replace("above: 120", "above: 100"), "utf-8")

    result = CliRunner().invoke(rules, ["test", str(copy)])
    assert result.exit_code == 1
    assert "FAIL queue_wait: one heartbeat, and exactly two minutes, are nothing" in result.output
    assert "came, but was not expected: {'at': 30.0" in result.output
    found = json.loads(CliRunner().invoke(rules, ["test", str(copy), "--json"]).stdout)
    assert [bool(case["failures"]) for case in found] == [False, True, False, False, False]


def test_a_rule_that_cannot_be_loaded_is_said_in_one_sentence(copy: Path) -> None:
    """What ElastAlert2's side says of a wrong option is all that is printed."""
    text = copy.read_text("utf-8").replace("  lowest:", "  average:")
    copy.write_text(text, "utf-8")

    result = CliRunner().invoke(rules, ["test", str(copy)])
    assert result.exit_code == 1
    assert "measure: {'average': 'attributes.comfyui.queue.oldest_wait_s'} is not known" in (
        result.output
    )
    assert "Traceback" not in result.output


def test_lint_ends_with_1_and_the_line_of_the_mistake(copy: Path) -> None:
    """For scripts too."""
    assert CliRunner().invoke(rules, ["lint", "--folder", str(copy.parent)]).exit_code == 0
    copy.write_text(copy.read_text("utf-8").replace("min_count: 2", "min_cout: 2"), "utf-8")

    result = CliRunner().invoke(rules, ["lint", "--folder", str(copy.parent), "--json"])
    assert result.exit_code == 1
    problem, missing = sorted(json.loads(result.stdout), key=lambda item: -item["line"])
    assert problem["file"] == str(copy)
    assert missing["text"].startswith("min_count is missing: the type ddcolor_alerts.window")
    assert problem["text"] == "the option 'min_cout' is not known: did you mean 'min_count'?"
    assert copy.read_text("utf-8").splitlines()[problem["line"] - 1] == "min_cout: 2"
