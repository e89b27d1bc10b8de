"""compose/three-nodes.yml: three real nodes with its settings are a cluster that bears a loss."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from ddcolor_operations.compose.certificates import AUTHORITY, ensure_certificates
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.elastic.setup import install, wait_ready
from tests.support.compose import ROOT
from tests.support.elastic import LOG_STREAM, eventually, free_ports
from tests.support.secured import SecuredElasticsearch, container_settings

pytestmark = pytest.mark.timeout(300)

NODES = ("elasticsearch", "elasticsearch-2", "elasticsearch-3")
PASSWORD = "only-of-this-test"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Make a folder that Elasticsearch's user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="ddcolor-nodes-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def nodes(folder: Path) -> Iterator[list[SecuredElasticsearch]]:
    """Run three nodes with the overlay's settings, their names replaced by ports."""
    ensure_certificates(folder / "tls")
    ports = free_ports(3)
    seeds = ",".join(f"127.0.0.1:{port}" for port in ports)
    running = []
    for node, port in zip(NODES, ports, strict=True):
        settings = container_settings(node, "compose/three-nodes.yml")
        assert settings["discovery.seed_hosts"] == settings["cluster.initial_master_nodes"]
        settings["discovery.seed_hosts"] = seeds
        home = folder / node
        home.mkdir()
        running.append(SecuredElasticsearch(home, PASSWORD, folder / "tls", settings, port))
    try:
        for server in running:
            server.process.start()
        yield running
    finally:
        for server in running:
            server.process.kill()


def client_of(server: SecuredElasticsearch, folder: Path) -> Elasticsearch:
    """Connect to one node."""
    authority = folder / "tls" / AUTHORITY
    return connect(server.url, username="elastic", password=PASSWORD, ca_certs=authority)


def test_a_lost_node_loses_no_document(nodes: list[SecuredElasticsearch], folder: Path) -> None:
    """Each document lies on two nodes; without the first, reading and writing go on."""
    with client_of(nodes[0], folder) as client:
        wait_ready(client, 180)
        eventually(lambda: client.cluster.health()["number_of_nodes"], lambda n: n == 3, 60)
        install(client, ROOT / "collector/elasticsearch")
        document = {"@timestamp": "2026-01-01T00:00:00Z", "body": {"text": "before the loss"}}
        client.create(index=LOG_STREAM, id="one", document=document, refresh=True)
        health = client.cluster.health(wait_for_status="green", timeout="30s")
        assert health["status"] == "green"
        assert health["active_shards"] == 2 * health["active_primary_shards"]
    nodes[0].process.kill()
    with client_of(nodes[1], folder) as client:

        def written() -> bool:
            try:
                client.create(index=LOG_STREAM, id="two", document=document, refresh=True)
            except Exception:  # noqa: BLE001 - no leader for a moment
                return False
            return True

        eventually(written, bool, 60)
        assert client.count(index=LOG_STREAM)["count"] == 2
