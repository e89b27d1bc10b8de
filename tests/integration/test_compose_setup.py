"""The container stack's set-up, in full, against a real Elasticsearch with security and TLS on."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import ApiError, Elasticsearch
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ddcolor_operations.compose.certificates import AUTHORITY, ensure_certificates
from ddcolor_operations.compose.cli import compose
from ddcolor_operations.compose.roles import API_KEYS, OPERATOR_ROLE
from ddcolor_operations.compose.secret_files import ensure_secrets
from ddcolor_operations.compose.security import KEY_FILE, OPERATOR_USER
from ddcolor_operations.data.letters import DEAD_LETTERS, collect
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.elastic.collectors import collector_launch, gateway_environment
from ddcolor_operations.elastic.setup import wait_ready
from ddcolor_operations.layout import project_root
from ddcolor_operations.toolchain import collectors
from tests.support.alerting import Alerting, AlertSink
from tests.support.elastic import LOG_STREAM, SPAN_STREAM, Process, eventually, free_ports
from tests.support.secured import SecuredElasticsearch

pytestmark = pytest.mark.timeout(240)


@dataclass
class Stack:
    """A secured Elasticsearch after the first set-up, and where its secrets and keys lie."""

    elasticsearch: SecuredElasticsearch
    folder: Path
    client: Elasticsearch
    said: str

    @property
    def secrets(self) -> Path:
        """The folder of the secrets."""
        return self.folder / "secrets"

    def secret(self, name: str) -> str:
        """Return a secret."""
        return (self.secrets / name).read_text().strip()

    def key_file(self, part: str) -> Path:
        """Return the file of a part's API key."""
        return self.folder / "keys" / part / KEY_FILE

    @property
    def authority(self) -> Path:
        """The certificate that clients have to trust."""
        return self.folder / "tls" / AUTHORITY

    def connect(self, **credentials: Any) -> Elasticsearch:
        """Connect as somebody."""
        return connect(self.elasticsearch.url, ca_certs=self.authority, **credentials)

    def with_key(self, part: str) -> Elasticsearch:
        """Connect as a part."""
        return self.connect(api_key=self.key_file(part).read_text())

    def set_up(self) -> str:
        """Run the set-up as its container does and return what it says."""
        result = CliRunner().invoke(
            compose,
            ["setup"],
            env={
                "ELASTICSEARCH_URL": self.elasticsearch.url,
                "ELASTICSEARCH_CA": str(self.authority),
                "DDCOLOR_SECRETS": str(self.secrets),
                "DDCOLOR_KEYS": str(self.folder / "keys"),
            },
            catch_exceptions=False,
        )
        assert result.exit_code == 0, result.output
        return result.output

    def state(self) -> dict[str, Any]:
        """Return all that the set-up makes, as Elasticsearch has it."""
        security = self.client.security
        keys = security.get_api_key(active_only=True)["api_keys"]
        return {
            "users": security.get_user().body,
            "roles": security.get_role(name=OPERATOR_ROLE).body,
            "keys": sorted(keys, key=lambda key: str(key["name"])),
            "files": {part: self.key_file(part).read_text() for part in API_KEYS},
            "templates": self.client.indices.get_index_template(name="*-ddcolor.otel").body,
            "pipelines": self.client.ingest.get_pipeline(id="ddcolor-*").body,
        }


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Start Elasticsearch with a random password and run the set-up once."""
    # Not pytest's own folder: that is closed to other users, and as root Elasticsearch is one.
    folder = Path(tempfile.mkdtemp(prefix="ddcolor-compose-"))
    folder.chmod(0o755)
    ensure_secrets(folder / "secrets")
    for part in API_KEYS:
        (folder / "keys" / part).mkdir(parents=True)
    password = (folder / "secrets" / "elastic_password").read_text()
    ensure_certificates(folder / "tls")
    elasticsearch = SecuredElasticsearch(folder, password, folder / "tls")
    client = connect(
        elasticsearch.url,
        username="elastic",
        password=password,
        ca_certs=folder / "tls" / AUTHORITY,
    )
    running = Stack(elasticsearch, folder, client, "")
    try:
        elasticsearch.process.start()
        wait_ready(client)
        running.said = running.set_up()
        yield running
    finally:
        client.close()
        elasticsearch.process.stop()
    shutil.rmtree(folder)


def test_a_second_setup_changes_nothing(stack: Stack) -> None:
    """Users, roles, keys, their files and the templates are the same after another run."""
    before = stack.state()
    said = stack.set_up()
    assert "in place" not in stack.said
    assert "set" not in {line.rpartition(": ")[2] for line in said.splitlines()}
    assert stack.state() == before


def test_nothing_that_is_said_holds_a_secret(stack: Stack) -> None:
    """The set-up's output names what it did, never a password or a key."""
    values = [path.read_text().strip() for path in stack.secrets.iterdir()]
    values += [stack.key_file(part).read_text() for part in API_KEYS]
    assert not [value for value in values if value in stack.said]


def test_key_files_are_private(stack: Stack) -> None:
    """Each key file can be read by its owner alone."""
    assert {stack.key_file(part).stat().st_mode & 0o777 for part in API_KEYS} == {0o600}


@pytest.mark.parametrize(
    ("user", "secret"),
    [("kibana_system", "kibana_system_password"), (OPERATOR_USER, "operator_password")],
)
def test_users_have_the_passwords_of_their_files(stack: Stack, user: str, secret: str) -> None:
    """Kibana and the operator log in with the values of the secret files."""
    with stack.connect(username=user, password=stack.secret(secret)) as client:
        assert client.security.authenticate()["username"] == user


def test_the_operator_reads_and_cannot_write(stack: Stack) -> None:
    """A person sees the documents; changing one is refused."""
    password = stack.secret("operator_password")
    with stack.connect(username=OPERATOR_USER, password=password) as client:
        client.search(index="logs-ddcolor.*", allow_no_indices=True)
        with pytest.raises(ApiError, match="security_exception"):
            client.index(index=LOG_STREAM, document={"@timestamp": 0}, op_type="create")


def test_a_lost_key_is_replaced_and_the_earlier_one_ends(stack: Stack) -> None:
    """Without its file, a part gets a new key; whoever has the lost one is refused."""
    lost = stack.key_file("dashboards").read_text()
    stack.key_file("dashboards").unlink()
    assert "API key dashboards: set" in stack.set_up()
    assert stack.key_file("dashboards").read_text() != lost
    with (
        stack.connect(api_key=lost) as client,
        pytest.raises(ApiError, match="401"),
    ):
        client.security.authenticate()


def test_a_key_of_another_role_is_brought_up_to_date(stack: Stack) -> None:
    """A key whose role differs from ours gets our role, and its user need not start again."""
    (key,) = stack.client.security.get_api_key(name="ddcolor-gateway", active_only=True)["api_keys"]
    stack.client.security.update_api_key(
        id=key["id"], role_descriptors={"wider": {"cluster": ["all"]}}
    )
    before = stack.key_file("gateway").read_text()
    assert "API key gateway: set" in stack.set_up()
    assert stack.key_file("gateway").read_text() == before
    with stack.with_key("gateway") as client, pytest.raises(ApiError, match="security_exception"):
        client.cluster.health()


def test_the_gateway_writes_with_its_key_and_can_do_nothing_else(
    stack: Stack, tmp_path: Path
) -> None:
    """The gateway with the overlays delivers a span; the key reads and deletes nothing."""
    http, health, agent = free_ports(3)
    name = f"through the gateway {secrets.token_hex(8)}"
    configs = project_root() / "collector"
    environment = gateway_environment(
        otlp_http_port=http,
        health_port=health,
        elasticsearch_url=stack.elasticsearch.url,
        agent_port=agent,
    ) | {
        "ELASTICSEARCH_API_KEY_FILE": str(stack.key_file("gateway")),
        "ELASTICSEARCH_CA": str(stack.authority),
    }
    gateway = Process(
        lambda: collector_launch(
            collectors.ensure(print).gateway,
            configs / "gateway.yaml",
            environment,
            *("--config", str(configs / "gateway.secured.yaml")),
            *("--config", str(configs / "gateway.tls.yaml")),
        ),
        tmp_path / "gateway.out",
    )
    gateway.start()
    try:
        _send_span(f"http://127.0.0.1:{http}/v1/traces", name)
    finally:
        gateway.stop()
    stack.client.indices.refresh(index=SPAN_STREAM)
    found = stack.client.search(index=SPAN_STREAM, query={"term": {"name": name}})
    assert [hit["_source"]["name"] for hit in found["hits"]["hits"]] == [name]
    with stack.with_key("gateway") as client:
        refused: list[Callable[[], object]] = [
            lambda: client.search(index=SPAN_STREAM),
            lambda: client.delete_by_query(index=SPAN_STREAM, query={"match_all": {}}),
            lambda: client.index(index="other", document={}),
        ]
        for request in refused:
            with pytest.raises(ApiError, match="security_exception"):
                request()


def test_the_keeper_records_refused_documents_with_its_key(stack: Stack) -> None:
    """It sees what Elasticsearch refused and writes the record; it changes no other document."""
    odd = {"@timestamp": "2026-01-01T00:00:00Z", "resource": "not an object"}
    taken = stack.client.index(index=LOG_STREAM, document=odd, op_type="create", refresh=True)
    assert taken["failure_store"] == "used"
    with stack.with_key("data") as client:
        assert collect(client) == 1
        assert collect(client) == 0
        found = client.search(index=DEAD_LETTERS)["hits"]["hits"]
        assert found[0]["_source"]["body"]["text"].startswith("Document refused: ")
        refused: list[Callable[[], object]] = [
            lambda: client.index(index=LOG_STREAM, document=odd, op_type="create"),
            lambda: client.delete_by_query(index=LOG_STREAM, query={"match_all": {}}),
            lambda: client.indices.rollover(alias=LOG_STREAM),
        ]
        for request in refused:
            with pytest.raises(ApiError, match="security_exception"):
                request()


def test_elastalert_runs_every_rule_with_its_key(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its key ElastAlert2 makes its indices, runs all rules and complains of nothing."""
    monkeypatch.setenv("ES_API_KEY_FILE", str(stack.key_file("elastalert")))
    monkeypatch.setenv("ES_USE_SSL", "True")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stack.authority))
    sink = AlertSink()
    sink.start()
    alerting = Alerting(stack.elasticsearch.url, sink, tmp_path)
    alerting.start()
    try:
        alerting.wait_rounds(2)
    finally:
        alerting.stop()
        sink.stop()
    assert not alerting.log_lines(**{"log.level": "error"})
    assert not alerting.log_lines(**{"log.level": "warning"})


def _send_span(endpoint: str, name: str) -> None:
    """Send one span by OTLP/HTTP, as an agent does, until it is taken."""
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=30)
    spans = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"data_stream.dataset": "ddcolor"}))
    provider.add_span_processor(SimpleSpanProcessor(spans))
    provider.get_tracer("tests").start_span(name).end()
    eventually(
        lambda: exporter.export(spans.get_finished_spans()),
        lambda result: result is SpanExportResult.SUCCESS,
    )
    exporter.shutdown()  # type: ignore[no-untyped-call]
