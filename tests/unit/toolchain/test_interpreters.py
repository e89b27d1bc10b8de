"""A Java and a Python that are new enough are found, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddcolor_operations.toolchain.elastalert import find_python
from ddcolor_operations.toolchain.errors import ToolchainError
from ddcolor_operations.toolchain.java import find_java, java_version


def program(path: Path, script: str) -> Path:
    """Write an executable that stands for an interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def java(folder: Path, version: str) -> Path:
    """Write a JDK whose java reports ``version`` as they do."""
    program(folder / "bin" / "javac", "")
    return program(folder / "bin" / "java", f"echo 'openjdk version \"{version}\"' >&2")


@pytest.mark.parametrize(
    ("reported", "version"),
    [("17.0.15", 17), ("21", 21), ("25.0.3+9-LTS", 25), ("1.8.0_412", 8)],
)
def test_java_version_is_read(tmp_path: Path, reported: str, version: int) -> None:
    """Old and new ways of writing the version are understood."""
    assert java_version(java(tmp_path, reported)) == version


def test_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    """JAVA_HOME names Java 17, so the newer one among the system's is taken."""
    old = java(tmp_path / "old", "17.0.15")
    new = java(tmp_path / "jvm" / "jdk-25", "25.0.3")
    environ = {"JAVA_HOME": str(old.parents[1]), "PATH": ""}
    assert find_java(environ, tmp_path / "jvm") == new


def test_named_java_comes_first(tmp_path: Path) -> None:
    """ES_JAVA_HOME is preferred to PATH and the system's folder."""
    named = java(tmp_path / "named", "21.0.1")
    java(tmp_path / "jvm" / "jdk-25", "25.0.3")
    environ = {"ES_JAVA_HOME": str(named.parents[1]), "PATH": ""}
    assert find_java(environ, tmp_path / "jvm") == named


def test_missing_java_is_explained(tmp_path: Path) -> None:
    """The error lists what was found and how to install what is missing."""
    java(tmp_path / "jvm" / "jdk-17", "17.0.15")
    program(tmp_path / "jvm" / "broken" / "bin" / "java", "exit 1")
    (java(tmp_path / "jvm" / "jre-21", "21.0.1").with_name("javac")).unlink()
    with pytest.raises(ToolchainError) as error:
        find_java({"PATH": ""}, tmp_path / "jvm")
    assert "version 17" in str(error.value)
    assert "no working Java" in str(error.value)
    assert "a runtime without a compiler" in str(error.value)
    assert "apt-get install openjdk-21" in error.value.what_to_do


def python(path: Path, version: str) -> Path:
    """Write a Python that reports ``version`` (major minor)."""
    return program(path, f"echo {version}")


def test_python_is_taken_for_what_it_says(tmp_path: Path) -> None:
    """A shim for a version that is not active does not count; pyenv's own folder does."""
    shim = tmp_path / "shims" / "python3.12"
    program(shim, "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    found = python(tmp_path / ".pyenv/versions/3.13.0/bin/python3.13", "3 13")
    environ = {"PATH": str(shim.parent), "HOME": str(tmp_path)}
    assert find_python(environ) == found


def test_missing_python_is_explained(tmp_path: Path) -> None:
    """The error names the command that installs a Python."""
    python(tmp_path / "bin" / "python3.12", "3 11")
    with pytest.raises(ToolchainError, match=r"apt-get install python3\.13-venv"):
        find_python({"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)})
