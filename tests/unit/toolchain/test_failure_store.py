"""The failure store's module is put into a trimmed Elasticsearch, once and whole."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from ddcolor_operations.toolchain.errors import ToolchainError
from ddcolor_operations.toolchain.failure_store import MODULE, ensure_failure_store

# Takes the compiler's place: writes one class file into the folder after -d, and counts its calls.
COMPILER = """#!/bin/sh
echo called >> "$(dirname "$0")/calls"
while [ "$1" != -d ]; do shift; done
mkdir -p "$2/ddcolor" && echo class > "$2/ddcolor/FailureStore.class"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make an unpacked Elasticsearch without the module."""
    home = tmp_path / "cache" / "home"
    (home / "modules").mkdir(parents=True)
    return home


@pytest.fixture
def java(tmp_path: Path) -> Path:
    """Make the java of a JDK whose compiler is ours."""
    folder = tmp_path / "jdk"
    folder.mkdir()
    (folder / "javac").write_text(COMPILER)
    (folder / "javac").chmod(0o755)
    return folder / "java"


def test_module_is_whole_and_readable_for_the_servers_user(home: Path, java: Path) -> None:
    """It has its classes, the service entry and a descriptor, whatever the umask; no more."""
    ensure_failure_store(home, java, "9.4.3", lambda _: None)
    folder = home / "modules" / MODULE
    (jar,) = folder.glob("*.jar")
    with zipfile.ZipFile(jar) as archive:
        assert archive.namelist() == [
            "ddcolor/FailureStore.class",
            "META-INF/services/org.elasticsearch.features.FeatureSpecification",
        ]
        assert archive.read(archive.namelist()[1]) == b"ddcolor.FailureStore$Feature\n"
    descriptor = (folder / "plugin-descriptor.properties").read_text().splitlines()
    assert "elasticsearch.version=9.4.3" in descriptor
    assert "classname=ddcolor.FailureStore" in descriptor
    assert {path.name for path in folder.iterdir()} == {jar.name, "plugin-descriptor.properties"}
    assert {path.name for path in (home / "modules").iterdir()} == {MODULE}
    assert all(path.stat().st_mode & stat.S_IROTH for path in (folder, *folder.iterdir()))


def test_module_is_compiled_once_and_an_older_one_replaced(home: Path, java: Path) -> None:
    """A second call finds it in place; a module of an earlier source gives way."""
    older = home / "modules" / MODULE
    older.mkdir()
    (older / "older.jar").touch()
    for _ in range(2):
        ensure_failure_store(home, java, "9.4.3", lambda _: None)
    assert (java.parent / "calls").read_text().splitlines() == ["called"]
    assert not (older / "older.jar").exists()


def test_runtime_without_a_compiler_is_told(home: Path, java: Path) -> None:
    """A Java that cannot compile is an error that says what to install; nothing is left behind."""
    (java.parent / "javac").unlink()
    with pytest.raises(ToolchainError, match="whole JDK"):
        ensure_failure_store(home, java, "9.4.3", lambda _: None)
    assert list((home / "modules").iterdir()) == []
