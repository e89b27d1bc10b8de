"""ddcolor-obs itself: the table of commands, and an installation without all extras."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from ddcolor_operations import cli as module
from ddcolor_operations.cli import cli


def test_every_command_of_the_table_can_be_imported() -> None:
    """Each has a help text, and the one in the table is no longer than a line."""
    for name, (_, _, text) in module._COMMANDS.items():
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert len(text) < 60


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the pack's extra is installed, other commands say so in one sentence."""
    real = builtins.__import__

    def without_rich(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "rich":
            raise ModuleNotFoundError("No module named 'rich'", name="rich")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "ddcolor_operations.commands.stack", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_rich)
    result = CliRunner().invoke(cli, ["status"])
    assert result.exit_code == 1
    assert "needs rich" in result.stderr
    assert "pip install" in result.stderr
