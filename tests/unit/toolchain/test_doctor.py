"""What a machine lacks, and what runs on it all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddcolor_operations import doctor as module
from ddcolor_operations.commands.doctor import doctor
from ddcolor_operations.toolchain import collectors, elasticsearch


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder of programs, an empty one, of a machine with nothing in the cache."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DDCOLOR_OBS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def names(needed: module.Needed) -> set[str]:
    """Return the names of what is missing."""
    return {finding.tool for finding in module.missing(needed)}


def shown(*options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(doctor, options)


@pytest.mark.usefixtures("bare")
def test_java_maven_and_go_are_for_the_whole_stack_only() -> None:
    """A machine without them runs the embedded stack, so they stop nothing."""
    assert {"Maven", "Go >= 1.25"} <= names("whole stack")
    assert not {"JDK >= 21", "Maven", "Go >= 1.25"} & names("always")


@pytest.mark.usefixtures("bare")
def test_what_nothing_runs_without_ends_with_1() -> None:
    """A script sees by the exit code that nothing can run; JSON says why."""
    result = shown("--json")
    found = {entry["tool"]: entry for entry in json.loads(result.output)}

    assert result.exit_code == 1
    assert found["setpriv"]["needed"] == "always"
    assert found["setpriv"]["found"] is None
    assert "util-linux" in found["setpriv"]["install"]


def test_a_machine_for_the_embedded_stack_is_well(bare: Path) -> None:
    """With the tools that everything needs the command ends with 0 and names what is left."""
    (bare / "setpriv").write_text("#!/bin/sh\n")
    (bare / "setpriv").chmod(0o755)
    result = shown()

    assert names("always") == set()
    assert result.exit_code == 0
    assert "apt-get install maven" in " ".join(result.output.split())


def test_what_is_in_the_cache_needs_no_tool(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maven and Go are needed once: what they have fetched and built is enough."""
    del bare
    for tool in (elasticsearch, collectors):
        monkeypatch.setattr(tool, "is_cached", lambda: True)

    assert not {"Maven", "Go >= 1.25"} & names("whole stack")
