"""What the commands say before any Elasticsearch is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ddcolor_operations.cli import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--last", "soon"], "30m, 24h or 7d"),
        (["--last", "1h", "--from", "2026-03-01"], "exclude each other"),
        (["--to", "2026-03-01"], "--to needs --from"),
        (["--from", "2026-03-02T00:00Z", "--to", "2026-03-01T00:00Z"], "before it begins"),
        (["--language", "fr"], "'zh', 'en'"),
    ],
)
def test_a_wrong_time_is_wrong_usage(arguments: list[str], said: str) -> None:
    """Exit code 2, and what would be right."""
    result = CliRunner().invoke(cli, ["report", *arguments])
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("command", [["report"], ["trace", "0" * 32]])
def test_without_a_stack_the_commands_say_what_to_do(tmp_path: Path, command: list[str]) -> None:
    """There is nothing to read from, and two ways to change that."""
    result = CliRunner().invoke(cli, [*command, "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "No stack runs in" in result.output
    assert "--url" in result.output


@pytest.mark.parametrize("command", [["report"], ["trace", "0" * 32]])
def test_an_elasticsearch_that_does_not_answer_is_named(command: list[str]) -> None:
    """The address and the options to check are in the message."""
    result = CliRunner().invoke(cli, [*command, "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "http://127.0.0.1:9 cannot be asked" in result.output
    assert "--api-key-file" in result.output
