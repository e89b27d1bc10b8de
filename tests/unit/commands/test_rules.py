"""ddcolor-obs rules: how lint and test end, and what scripts read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from click.testing import CliRunner, Result

from ddcolor_operations.cli import cli
from ddcolor_operations.layout import project_root

RULES = project_root() / "elastalert_rules"


def run(*arguments: str) -> Result:
    """Run a command of the group."""
    return CliRunner().invoke(cli, ["rules", *arguments])


def test_lint_finds_nothing_in_our_rules() -> None:
    """The rules that ship are without a problem, and the status is 0."""
    result = run("lint")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(" 0 problems\n")


def test_lint_names_file_and_line(tmp_path: Path) -> None:
    """A misspelt option is a problem with its place, for people and for scripts; status 1."""
    folder = tmp_path / "rules"
    shutil.copytree(RULES / "shared", tmp_path / "shared")
    folder.mkdir()
    rule = folder / "keyword_out_of_memory.yaml"
    text = (RULES / "rules" / rule.name).read_text(encoding="utf-8")
    rule.write_text(text + "\nbufer_time: {minutes: 5}\n", encoding="utf-8")
    result = run("lint", "--folder", str(folder))
    assert result.exit_code == 1
    assert f"{rule}:{len(text.splitlines()) + 2}" in result.stdout
    found = json.loads(run("lint", "--folder", str(folder), "--json").stdout)
    assert ["bufer_time" in problem["text"] for problem in found] == [True]


def test_rules_run_over_their_documents() -> None:
    """A rule's cases are run by ElastAlert2's own classes and are as its corpus expects."""
    result = run("test", "keyword_out_of_memory", "--json")
    assert result.exit_code == 0, result.output
    cases = json.loads(result.stdout)
    assert len(cases) > 2
    assert [case for case in cases if case["failures"]] == []
