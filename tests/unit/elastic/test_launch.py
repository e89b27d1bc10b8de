"""How Elasticsearch and the collectors are started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from ddcolor_operations.elastic import server
from ddcolor_operations.elastic.collectors import (
    agent_environment,
    agent_launch,
    gateway_environment,
    gateway_launch,
)
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain.elasticsearch import ElasticsearchHome


@pytest.fixture
def home(tmp_path: Path) -> ElasticsearchHome:
    """Make an Elasticsearch home with the files that are copied from it."""
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "log4j2.properties").write_text("log4j")
    (config / "jvm.options").write_text("-XX:+UseG1GC")
    return ElasticsearchHome(tmp_path / "home", tmp_path / "java")


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as if the caller were a normal user."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def prepare(home: ElasticsearchHome, folder: Path) -> LaunchSpec:
    """Prepare a server below ``folder``."""
    return server.prepare(
        home, folder / "config", folder / 'da"ta', folder / "logs", 9201, 9301, heap="640m"
    )


@pytest.mark.usefixtures("as_user")
def test_configuration_says_what_was_asked_for(home: ElasticsearchHome, tmp_path: Path) -> None:
    """Ports, folders and heap are in the written files, even with odd characters in a path."""
    spec = prepare(home, tmp_path)
    config = yaml.safe_load((tmp_path / "config" / "elasticsearch.yml").read_text())
    assert config["http.port"] == 9201
    assert config["transport.port"] == 9301
    assert config["network.host"] == "127.0.0.1"
    assert config["path.data"] == str(tmp_path / 'da"ta' / "node")
    assert "-Xmx640m" in (tmp_path / "config/jvm.options.d/ddcolor.options").read_text()
    assert (tmp_path / "config/log4j2.properties").read_text() == "log4j"
    assert spec.clear_env is True
    assert (spec.uid, spec.gid) == (None, None)
    assert Path(spec.env["ES_TMPDIR"]).is_dir()


@pytest.mark.usefixtures("as_user")
def test_preparing_again_keeps_the_data(home: ElasticsearchHome, tmp_path: Path) -> None:
    """A second start finds the data of the first; temporary files are gone."""
    spec = prepare(home, tmp_path)
    kept = tmp_path / 'da"ta' / "node" / "segment"
    kept.touch()
    left = Path(spec.env["ES_TMPDIR"]) / "left"
    left.touch()
    prepare(home, tmp_path)
    assert kept.exists()
    assert not left.exists()


def test_environment_holds_every_variable_that_the_config_names() -> None:
    """The two configs ask for nothing that the launch does not give."""
    root = Path(server.__file__).parents[3] / "collector"
    agent = agent_environment(
        log_dir=Path("log"),
        data_dir=Path("data"),
        otlp_grpc_port=1,
        otlp_http_port=2,
        health_port=3,
        gateway_port=4,
    )
    gateway = gateway_environment(
        otlp_http_port=4, health_port=5, elasticsearch_url="http://es", agent_port=2
    )
    for name, env in (("agent", agent), ("gateway", gateway)):
        text = (root / f"{name}.yaml").read_text()
        for variable, value in env.items():
            text = text.replace(f"${{env:{variable}}}", value)
        # What is left has a default.
        assert [part for part in text.split("${env:")[1:] if ":-" not in part.split("}")[0]] == []


def test_collectors_get_no_other_environment() -> None:
    """Proxies and OTEL_* of the caller do not reach a collector; the agent has its feature gate."""
    agent = agent_launch(Path("agent"), Path("agent.yaml"), {"A": "1"})
    gateway = gateway_launch(Path("gateway"), Path("gateway.yaml"), {"A": "1"})
    assert agent.environment() == gateway.environment() == {"A": "1"}
    assert "--feature-gates=stanza.synchronousLogEmitter" in agent.argv
    assert gateway.argv == ("gateway", "--config", "gateway.yaml")


def test_command_drops_root_and_binds_to_the_parent() -> None:
    """The program runs as the given user and gets a signal when its parent ends."""
    command = LaunchSpec(("program", "--option"), uid=65534, gid=65533).command()
    assert command[command.index("--") + 1 :] == ["program", "--option"]
    assert {"--reuid=65534", "--regid=65533", "--clear-groups"} <= set(command)
    assert command[1:3] == ["--pdeathsig", "TERM"]


def test_environment_is_laid_over_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``clear_env`` the caller's variables are there too, and ours win."""
    monkeypatch.setenv("DDCOLOR_TEST_A", "theirs")
    monkeypatch.setenv("DDCOLOR_TEST_B", "theirs")
    environment = LaunchSpec(("program",), {"DDCOLOR_TEST_A": "ours"}).environment()
    assert environment["DDCOLOR_TEST_A"] == "ours"
    assert environment["DDCOLOR_TEST_B"] == "theirs"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[Path, int]:
    """Run as if the caller were root, with nothing closed; return who is made owner of what."""
    owners: dict[Path, int] = {}

    def chown(path: Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        assert uid == gid
        assert follow_symlinks is False
        owners[Path(path)] = uid

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(server, "_closed_parent", lambda _: None)
    monkeypatch.setattr(server, "_INSTEAD", tmp_path / "instead")
    return owners


def test_root_hands_the_folders_to_the_servers_user(
    home: ElasticsearchHome, tmp_path: Path, given: dict[Path, int]
) -> None:
    """As root the server runs as user 65534, which owns config, data and logs with all in them."""
    spec = prepare(home, tmp_path)
    assert (spec.uid, spec.gid) == (65534, 65534)
    for name in ("config", "config/elasticsearch.yml", 'da"ta', 'da"ta/node', "logs"):
        assert given[tmp_path / name] == 65534
    assert home.home not in given


def test_folders_in_roots_closed_home_are_replaced(
    home: ElasticsearchHome,
    tmp_path: Path,
    given: dict[Path, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the server's user cannot enter is put elsewhere, the same place each time, and said."""
    closed = tmp_path / "root"
    monkeypatch.setattr(
        server, "_closed_parent", lambda path: closed if closed in path.parents else None
    )
    first, second = prepare(home, closed), prepare(home, closed)
    assert first == second
    config = Path(first.env["ES_PATH_CONF"])
    assert config.parent == tmp_path / "instead"
    assert (config / "elasticsearch.yml").is_file()
    assert str(tmp_path / "instead") in (config / "elasticsearch.yml").read_text()
    assert given[config] == 65534
    assert f"cannot enter {closed}" in caplog.text


def test_programs_in_roots_closed_home_are_refused(
    home: ElasticsearchHome,
    tmp_path: Path,
    given: dict[Path, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cache that the server's user cannot enter is an error that says what to set."""
    monkeypatch.setattr(server, "_closed_parent", lambda _: tmp_path)
    with pytest.raises(server.ElasticsearchLaunchError, match="DDCOLOR_OBS_CACHE"):
        prepare(home, tmp_path)
    assert given == {}


def test_closed_parent_is_found(tmp_path: Path) -> None:
    """A folder that others may not enter closes all below it; its own mode does not count."""
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    found = server._closed_parent(closed / "open" / "file")
    # Pytest's own folder is closed to others, too, and lies above.
    assert found is not None
    assert found in (closed, *closed.parents)
    assert server._closed_parent(Path("/usr/bin/env")) is None
