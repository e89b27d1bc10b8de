"""On a ComfyUI's Python 3.10 the pack's commands run, and all others say what they need."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ddcolor_operations import cli

_HOUSE = Path(__file__).parents[3]
_RUNS_THERE = [
    *sorted((_HOUSE / "instrumentation").rglob("*.py")),
    *sorted((_HOUSE / "operations/ddcolor_operations/comfyui").rglob("*.py")),
    Path(str(importlib.util.find_spec("ddcolor_operations.cli").origin)),  # type: ignore[union-attr]
]


@pytest.fixture
def _on_3_10(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 14, "final", 0))


@pytest.mark.usefixtures("_on_3_10")
@pytest.mark.parametrize("command", sorted(set(cli._COMMANDS) - {"comfyui"}))
def test_other_commands_say_what_they_need(command: str) -> None:
    """Which command, which Python this is, and what still runs."""
    result = CliRunner().invoke(cli.cli, [command])
    assert result.exit_code == 1
    assert f"`ddcolor-obs {command}` needs Python 3.11 or newer and this is 3.10" in result.output
    assert "only `ddcolor-obs comfyui` runs" in result.output


@pytest.mark.usefixtures("_on_3_10")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["comfyui", "watch", "--help"]])
def test_the_packs_commands_run(words: list[str]) -> None:
    """The listing and everything below ``comfyui``."""
    assert CliRunner().invoke(cli.cli, words).exit_code == 0


def test_the_sources_have_no_newer_grammar() -> None:
    """Every module that a ComfyUI's Python reads can be parsed by 3.10."""
    assert len(_RUNS_THERE) > 60
    for path in _RUNS_THERE:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


def test_the_sources_name_nothing_newer() -> None:
    """Nothing of asyncio, typing, enum or datetime that came with 3.11."""
    newer = {
        "TaskGroup", "timeout_at", "Runner", "StrEnum", "UTC", "Self", "Never", "assert_never",
        "LiteralString", "ExceptionGroup", "BaseExceptionGroup", "tomllib", "file_digest",
    }  # fmt: skip
    for path in _RUNS_THERE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {
            a.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for a in node.names
        }
        assert not names & newer, path
