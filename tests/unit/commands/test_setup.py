"""ddcolor-obs setup: what stands in its way is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ddcolor_operations.cli import cli


def test_a_cache_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder stands in the error, and no traceback."""
    cache = tmp_path / "cache"
    cache.write_text("a file where the folder should be")
    monkeypatch.setenv("DDCOLOR_OBS_CACHE", str(cache))
    result = CliRunner().invoke(cli, ["setup", "--embedded"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert str(cache) in result.stderr
