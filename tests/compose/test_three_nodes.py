"""compose/three-nodes.yml: over the stack and TLS, three nodes and two gateways fit together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from ddcolor_operations.compose.certificates import SERVERS
from tests.support.compose import ROOT, load, variables

BASE = load()
TLS = load(ROOT / "compose/tls.yml")
OVERLAY = load(ROOT / "compose/three-nodes.yml")
NEW = ("elasticsearch-2", "elasticsearch-3")
NODES = ("elasticsearch", *NEW)


def environment(name: str) -> dict[str, Any]:
    """Return a service's environment with all three files in force."""
    merged: dict[str, Any] = {}
    for file in (BASE, TLS, OVERLAY):
        merged |= file["services"].get(name, {}).get("environment", {})
    return merged


def test_overlay_is_valid_by_the_specification() -> None:
    """The schema of the Compose specification takes the overlay."""
    schema = json.loads((ROOT / "tests/data/compose/compose-spec.json").read_text())
    schema.pop("$schema")
    jsonschema.Draft7Validator(schema).validate(OVERLAY)


def test_nodes_differ_by_name_alone() -> None:
    """All three have the same settings, image, limits and no privileges."""
    of_first = environment("elasticsearch")
    first = BASE["services"]["elasticsearch"]
    for name in NEW:
        node = OVERLAY["services"][name]
        assert environment(name) == of_first | {"node.name": name}
        for key in ("image", "user", "cap_drop", "security_opt", "logging", "ulimits", "mem_limit"):
            assert node[key] == first[key], key
        assert node["healthcheck"]["test"][0] == "CMD-SHELL"
        assert node["volumes"] == [f"{name}:/usr/share/elasticsearch/data"]


def test_the_nodes_certificate_has_their_names() -> None:
    """Whoever asks a node by its name finds it in the certificate."""
    assert set(SERVERS["elasticsearch"]) == set(NODES)
    assert environment("elasticsearch")["cluster.initial_master_nodes"].split(",") == list(NODES)


def test_every_client_knows_every_node() -> None:
    """With any node lost, each part has two others to ask."""
    gateway = yaml.safe_load(environment("gateway")["ELASTICSEARCH_URLS"])
    kibana = json.loads(environment("kibana")["ELASTICSEARCH_HOSTS"])
    assert gateway == kibana == [f"https://{node}:9200" for node in NODES]
    hosts = environment("elastalert2")["ES_HOSTS"]
    assert hosts.split(",") == [f"{node}:9200" for node in NODES]


def test_there_are_several_gateways_on_all_nodes() -> None:
    """Two gateways run with the overlay that takes the list of nodes."""
    gateway = OVERLAY["services"]["gateway"]
    assert gateway["deploy"]["replicas"] == 2
    # A published port or a fixed name could not be had twice.
    assert not {"ports", "container_name"} & set(BASE["services"]["gateway"])
    files = {
        entry["target"]: file["configs"][entry["source"]]["file"]
        for file in (BASE, TLS, OVERLAY)
        for entry in file["services"]["gateway"].get("configs", [])
    }
    command = gateway["command"]
    given = [files[target] for flag, target in zip(command[::2], command[1::2], strict=True)]
    assert [Path(file).name for file in given] == [
        *("gateway.yaml", "gateway.secured.yaml", "gateway.tls.yaml", "gateway.nodes.yaml"),
    ]
    assert all((ROOT / file).is_file() for file in given)


def test_what_the_overlay_names_is_declared() -> None:
    """Secrets come from the files beneath it, volumes are its own, settings the stack's."""
    declared = BASE["secrets"] | TLS["secrets"]
    asked = {
        entry if isinstance(entry, str) else entry["source"]
        for service in OVERLAY["services"].values()
        for entry in service.get("secrets", [])
    }
    assert asked <= set(declared)
    assert set(OVERLAY["volumes"]) == set(NEW)
    assert variables(ROOT / "compose/three-nodes.yml") <= variables()
