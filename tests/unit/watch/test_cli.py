"""The command ``ddcolor-obs watch``: what it refuses, and how it says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddcolor_operations.toolchain import elastalert
from ddcolor_operations.toolchain.errors import ToolchainError
from ddcolor_operations.watch.cli import watch


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(watch, arguments)


def test_without_a_file_it_is_wrong_usage() -> None:
    """There is no file that would be the right one for everybody."""
    assert run().exit_code == 2


def test_a_notifier_that_is_no_address_is_refused(tmp_path: Path) -> None:
    """The text says what an address looks like."""
    result = run(str(tmp_path), "--notifier", "localhost:8085")

    assert result.exit_code == 2
    assert "http://HOST:PORT" in result.output


def test_a_name_that_cannot_be_looked_at_is_refused() -> None:
    """Whatever the system says of it is said, without a traceback."""
    result = run("x" * 300)

    assert result.exit_code == 2
    assert "File name too long" in result.output


def test_what_is_neither_a_file_nor_a_folder_is_refused(tmp_path: Path) -> None:
    """A pipe has no place to go back to after a restart."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    result = run(str(pipe))

    assert result.exit_code == 2
    assert "neither a file nor a folder" in result.output


def test_without_a_python_for_the_rules_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules need an interpreter of their own; the text names the package."""

    def none_found(_: object) -> None:
        raise ToolchainError("ElastAlert2 needs a Python 3.12", "PATH", "apt-get install it")

    monkeypatch.setattr(elastalert, "ensure", none_found)
    result = run(str(tmp_path))

    assert result.exit_code == 1
    assert "apt-get install it" in result.output


def test_a_worker_that_cannot_be_started_ends_it_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is of no use to try again is one sentence and the exit code 1."""
    nothing = elastalert.ElastAlertEnv(tmp_path / "no-such-python")
    monkeypatch.setattr(elastalert, "ensure", lambda _: nothing)
    log_file = tmp_path / "watcher.jsonl"
    result = run(str(tmp_path), "--memory", str(tmp_path / "m"), "--log-file", str(log_file))

    assert result.exit_code == 1
    assert "no-such-python" in result.output
