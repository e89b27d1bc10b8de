"""docker-compose.yml: it is valid, and everything that it names is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ddcolor_operations.compose.roles import API_KEYS
from ddcolor_operations.compose.secret_files import KIBANA, RANDOM
from tests.support.compose import ROOT, load, mounts, variables

STACK = load()
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
EVERY = pytest.mark.parametrize("name", sorted(SERVICES))
SOCKET = "/var/run/docker.sock"
# They end by themselves, or have no network.
ONE_SHOT = {"setup", "dashboards", "receivers-keys"}
# They listen nowhere: each is well as long as its process is there.
UNWATCHED = {"watchdog"}


def networks(name: str) -> set[str]:
    """Return the networks in which a service is."""
    service = SERVICES[name]
    mode = service.get("network_mode", "")
    if mode.startswith("service:"):
        return networks(mode.removeprefix("service:"))
    return set(service.get("networks", []))


def test_file_is_valid_by_the_specification() -> None:
    """The schema of the Compose specification takes the file."""
    schema = json.loads((ROOT / "tests/data/compose/compose-spec.json").read_text())
    schema.pop("$schema")  # it names draft 7 by an address that jsonschema does not know
    problems = jsonschema.Draft7Validator(schema).iter_errors(STACK)
    assert [f"{list(problem.path)}: {problem.message}" for problem in problems] == []


def test_every_service_of_the_stack_is_there() -> None:
    """The parts of the native stack, Kibana and the set-up run without any profile."""
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert always == {
        *("elasticsearch", "setup", "kibana", "dashboards", "gateway", "agent"),
        *("data", "notifier", "watchdog", "elastalert2", "service"),
    }
    assert {tuple(s["profiles"]) for s in SERVICES.values() if "profiles" in s} == {
        *(("gpu",), ("spare",), ("comfyui",), ("comfyui-gpu",), ("resources",), ("demo",)),
    }


@EVERY
def test_image_has_a_version_or_is_built_here(name: str) -> None:
    """No image is `latest`; what is not pulled is built from a Dockerfile that is there."""
    service = SERVICES[name]
    _, _, tag = service["image"].rpartition(":")
    assert tag not in {"", "latest"}
    if "build" in service:
        build = service["build"]
        dockerfile = (ROOT / build["context"] / build["dockerfile"]).read_text()
        if "target" in build:
            assert f" AS {build['target']}\n" in dockerfile


@EVERY
def test_mounts_lead_to_what_is_there(name: str) -> None:
    """Paths exist, volumes are declared, the checkout is read-only."""
    for mount in mounts(SERVICES[name]):
        if mount.host is None:
            assert mount.volume in STACK["volumes"]
            continue
        assert mount.read_only
        # The engine's socket is there wherever the stack is.
        assert mount.host.exists() or (name, mount.target) == ("engine", SOCKET)
    for entry in SERVICES[name].get("volumes", []):
        # The short form makes an empty folder of a path that is missing.
        if isinstance(entry, dict):
            assert entry["bind"] == {"create_host_path": False}


@EVERY
def test_secrets_and_configs_are_declared(name: str) -> None:
    """Each secret and config that a service asks for is declared below."""
    service = SERVICES[name]
    for kind in ("secrets", "configs"):
        asked = {e if isinstance(e, str) else e["source"] for e in service.get(kind, [])}
        assert asked <= set(STACK[kind])


def test_config_files_are_there() -> None:
    """Each declared config is a file of the checkout."""
    files = [ROOT / config["file"] for config in STACK["configs"].values()]
    assert [file for file in files if not file.is_file()] == []


def test_secret_files_are_those_that_the_command_makes() -> None:
    """Secrets come from files that `ddcolor-obs compose secrets` makes, and git ignores them."""
    files = {Path(secret["file"]) for secret in STACK["secrets"].values()}
    made = {Path(".secrets") / name for name in (*RANDOM, KIBANA)}
    # The key is in Kibana's own file.
    assert files == made - {Path(".secrets/kibana_encryption_key")}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.secrets/", "/.env"} <= set(ignored)


def test_nothing_declared_is_left_unused() -> None:
    """Every volume, secret, config and network has a user."""
    volumes = {mount.volume for service in SERVICES.values() for mount in mounts(service)}
    assert volumes - {None} == set(STACK["volumes"])
    for kind in ("secrets", "configs"):
        used = {
            entry if isinstance(entry, str) else entry["source"]
            for service in SERVICES.values()
            for entry in service.get(kind, [])
        }
        assert used == set(STACK[kind])
    assert set().union(*map(networks, SERVICES)) == set(STACK["networks"])


@EVERY
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    """Every published port is bound to 127.0.0.1."""
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_no_two_services_publish_the_same_port() -> None:
    """With every profile on, no port is taken twice."""
    ports = [p.split(":")[1] for service in SERVICES.values() for p in service.get("ports", [])]
    assert len(ports) == len(set(ports))


@EVERY
def test_service_has_no_privileges(name: str) -> None:
    """No root, no capability, no way to gain one; bounded memory and logs."""
    service = SERVICES[name]
    assert service["user"] == "1000:0"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service)
    assert service["mem_limit"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_only_elastic_s_own_images_write_to_their_root() -> None:
    """Elasticsearch and Kibana keep keystores beside their programs; nobody else may write."""
    writable = {name for name, service in SERVICES.items() if not service.get("read_only")}
    assert writable == {"elasticsearch", "kibana"}


@EVERY
def test_service_restarts_and_is_watched_unless_it_ends_by_itself(name: str) -> None:
    """A part that runs for ever has a health check and comes back; a one-shot has neither."""
    service = SERVICES[name]
    assert ("healthcheck" in service) == (name not in ONE_SHOT | UNWATCHED)
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


@EVERY
def test_dependencies_are_of_a_kind_that_comes(name: str) -> None:
    """Nobody waits for the health of what has no check, or for the end of what runs for ever."""
    for other, dependency in SERVICES[name].get("depends_on", {}).items():
        ends = dependency["condition"] == "service_completed_successfully"
        assert ends == (other in ONE_SHOT)
        # A service of a profile must not be needed by one that runs without it.
        profiles = set(SERVICES[other].get("profiles", []))
        if not profiles <= set(SERVICES[name].get("profiles", [])):
            assert dependency["required"] is False


def test_every_part_meets_those_it_talks_to() -> None:
    """Each address in an environment names a service in a network that both are in."""
    for name, service in SERVICES.items():
        told = [*service.get("environment", {}).values(), *service.get("command", [])]
        texts = " ".join(map(str, told))
        for other in SERVICES:
            if f"//{other}:" in texts or f" {other}:14317" in f" {texts}":
                assert networks(name) & networks(other), f"{name} cannot reach {other}"


def test_the_service_is_not_in_elasticsearch_s_network() -> None:
    """What takes strangers' photos has no way to Elasticsearch."""
    assert not networks("service") & networks("elasticsearch")


def test_the_engine_s_socket_is_behind_a_list_of_what_may_be_read() -> None:
    """One service mounts it, nobody but the collector of figures reaches that one, only to read."""
    holders = [name for name, s in SERVICES.items() if any(m.target == SOCKET for m in mounts(s))]
    assert holders == ["engine"]
    assert {name for name in SERVICES if networks(name) & networks("engine")} == {
        *("engine", "resources"),
    }
    allowed = [option for option in SERVICES["engine"]["command"] if option.startswith("-allow")]
    assert {option.partition("=")[0] for option in allowed} == {
        *("-allowfrom", "-allowGET", "-allowHEAD", "-allowhealthcheck"),
    }
    (paths,) = [o.partition("=")[2] for o in allowed if o.startswith("-allowGET")]
    for path, may in {
        "/v1.44/containers/json": True,
        "/v1.44/containers/0123abcd/stats": True,
        "/v1.44/containers/0123abcd/archive": False,
        "/v1.44/secrets": False,
        "/v1.44/containers/0123abcd/json/../../../secrets": False,
    }.items():
        assert bool(re.fullmatch(paths, path)) is may, path


def test_no_environment_holds_a_secret() -> None:
    """Passwords, keys and tokens are named by file only."""
    names = [name for service in SERVICES.values() for name in service.get("environment", {})]
    words = ("PASSWORD", "SECRET", "TOKEN", "API_KEY")
    secret = {n for n in names if any(w in n.upper() for w in words) and not n.endswith("_FILE")}
    assert secret == {"DDCOLOR_SECRETS"}  # the folder


def test_each_part_gets_its_own_api_key_and_no_other() -> None:
    """The set-up can write every key; a part can read one."""
    written = {m.target for m in mounts(SERVICES["setup"]) if m.volume}
    assert written == {f"/run/keys/{name}" for name in API_KEYS}
    for part, volume in {
        "gateway": "gateway-key",
        "elastalert2": "elastalert-key",
        "data": "data-key",
        "dashboards": "dashboards-key",
    }.items():
        keys = [m for m in mounts(SERVICES[part]) if m.target == "/run/keys"]
        assert [(m.volume, m.read_only) for m in keys] == [(volume, True)]


def test_every_variable_is_explained() -> None:
    """docs/compose.md has a row for each variable of .env."""
    text = (ROOT / "docs/compose.md").read_text()
    assert {name for name in variables() if f"`{name}`" not in text} == set()


def test_demo_file_sets_only_what_is_read() -> None:
    """compose/demo/demo.env holds variables of Compose or of docker-compose.yml."""
    lines = (ROOT / "compose/demo/demo.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(settings) - {"COMPOSE_PROFILES"} <= variables()
    assert (ROOT / settings["DDCOLOR_NOTIFIER"] / "notifier.yaml").is_file()
