"""The collectors' configs, templates and sources keep the rules that lose and leak nothing."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from comfyui_telemetry import semconv
from ddcolor_operations.elastic import attributes
from ddcolor_operations.elastic.resources import load

FOLDER = Path(__file__).parents[3] / "collector"
AGENT: dict[str, Any] = yaml.safe_load((FOLDER / "agent.yaml").read_text())
GATEWAY: dict[str, Any] = yaml.safe_load((FOLDER / "gateway.yaml").read_text())


@pytest.mark.parametrize("config", [AGENT, GATEWAY], ids=["agent", "gateway"])
def test_no_component_holds_acknowledged_data_in_memory(config: dict[str, Any]) -> None:
    """There is no batch processor, every pipeline is limited in memory and none samples."""
    assert not [name for name in config["processors"] if name.startswith(("batch", "tail"))]
    for pipeline in config["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"


def test_agent_queue_survives_a_crash_and_waits_for_ever() -> None:
    """The queue is on disk with fsync, blocks when it is full, and retries have no end."""
    exporter = AGENT["exporters"]["otlp_http"]
    queue = exporter["sending_queue"]
    assert AGENT["extensions"][queue["storage"]]["fsync"] is True
    assert queue["block_on_overflow"] is True
    assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
    reader = AGENT["receivers"]["file_log"]
    assert AGENT["extensions"][reader["storage"]]["fsync"] is True
    assert reader["storage"] != queue["storage"]
    assert reader["start_at"] == "beginning"
    assert reader["retry_on_failure"]["max_elapsed_time"] == 0


def test_gateway_answers_only_after_elasticsearch() -> None:
    """It is synchronous and has no queue of its own."""
    exporter = GATEWAY["exporters"]["elasticsearch"]
    assert exporter["batcher"] == {"enabled": False}
    assert exporter["sending_queue"] == {"enabled": False}
    assert exporter["mapping"] == {"mode": "otel"}


def test_nothing_is_too_large_for_the_next_on_the_way() -> None:
    """What a receiver lets in, the agent can send as one item; what it sends, the gateway takes."""
    protocols = AGENT["receivers"]["otlp"]["protocols"]
    taken = max(
        protocols["grpc"]["max_recv_msg_size_mib"] << 20,
        protocols["http"]["max_request_body_size"],
    )
    sent = AGENT["exporters"]["otlp_http"]["sending_queue"]["batch"]["max_size"]
    limit = GATEWAY["receivers"]["otlp"]["protocols"]["http"]["max_request_body_size"]
    assert taken < sent < limit


def test_gateway_waits_where_the_document_is_not_to_blame() -> None:
    """A wrong key, a missing right and a missing template are retried; a bad document is not."""
    retried = GATEWAY["exporters"]["elasticsearch"]["retry"]["retry_on_status"]
    assert {401, 403, 404, 429, 503} <= set(retried)
    assert not {400, 409, 413} & set(retried)


@pytest.mark.parametrize("kind", ["logs", "traces", "metrics"])
def test_no_document_chooses_its_data_stream(kind: str) -> None:
    """The gateway writes each kind to one data stream, for which there is a template."""
    exporter = GATEWAY["exporters"]["elasticsearch"]
    assert exporter[f"{kind}_dynamic_index"] == {"enabled": False}
    name = exporter[f"{kind}_index"].removesuffix("-default")
    assert (FOLDER / "elasticsearch/index_templates" / f"{name}.json").exists()


def test_every_refusal_is_told() -> None:
    """The gateway leaves none of its error messages out, and no answer waits for one."""
    logs = GATEWAY["service"]["telemetry"]["logs"]
    assert logs["sampling"] == {"enabled": False}
    assert [set(processor) for processor in logs["processors"]] == [{"batch"}]


@pytest.mark.parametrize("signal", ["logs", "traces", "metrics"])
def test_every_pipeline_of_the_agent_is_redacted(signal: str) -> None:
    """Nothing that can write text comes after the redaction, but what puts redacted text back."""
    processors = AGENT["service"]["pipelines"][signal]["processors"]
    after = processors[processors.index("redaction") + 1 :]
    assert after in ([], ["transform/spans_redacted"])


@pytest.mark.parametrize("config", [AGENT, GATEWAY], ids=["agent", "gateway"])
def test_no_port_or_folder_is_fixed(config: dict[str, Any]) -> None:
    """Two stacks run side by side: every address and folder is from the environment."""

    def values(node: Any, key: str = "") -> list[tuple[str, str]]:
        if isinstance(node, dict):
            return [pair for name, value in node.items() for pair in values(value, str(name))]
        if isinstance(node, list):
            return [pair for value in node for pair in values(value, key)]
        return [(key, str(node))]

    for key, value in values(config):
        if key in {"endpoint", "endpoints", "directory", "include", "exclude"}:
            assert value.removeprefix("http://").startswith("${env:"), f"{key}: {value}"
    for reader in config["service"]["telemetry"]["metrics"]["readers"]:
        assert set(reader) == {"periodic"}  # no port of its own


PATTERNS = [re.compile(pattern) for pattern in AGENT["processors"]["redaction"]["blocked_values"]]


def masked(text: str) -> str:
    """Mask as the redaction processor does (the patterns are in the common part of RE2 and re)."""
    for pattern in PATTERNS:
        text = pattern.sub("****", text)
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open /home/li/照片/a.jpg failed", "open **** failed"),
        ('File "/usr/lib/python3.12/json/a.py", line 3', 'File "****", line 3'),
        (r"open C:\Users\li\a.png: denied", "open ****: denied"),
        (r"\\server\share\a.png", "****"),
        ("from 192.168.1.20:8188", "from ****:8188"),
        ("from 2001:db8::8a2e:370:7334", "from ****"),
        ("from fe80::1", "from ****"),
        ("from 2001:0db8:85a3:0000:0000:8a2e:0370:7334", "from ****"),
        ("https://x.example/send?key=abc-def&x=1", "https://x.example/send****&x=1"),
        ("https://x.example/send?x=1&access_token=abc", "https://x.example/send?x=1****"),
        ("Authorization: Bearer abcdefgh.ijkl", "****"),
        ('{"password": "hunter2hunter2"}', '{"****"}'),
        ("token Bearer abcdefghij", "token ****"),
        ("li.wei@example.com wrote", "**** wrote"),
        ("SEC" + "0a" * 32, "****"),
    ],
)
def test_what_is_nobodys_business_is_masked(text: str, expected: str) -> None:
    """Paths, addresses, keys, tokens and mails are masked, and only they."""
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Out of memory: node DDColor_Colorize (2): 2.50 GiB wanted, 1.2 GiB free",
        "POST /upload/image 400 in 0.2 s",
        "at 2026-11-24T11:37:16.000045Z after 00:01:02",
        "trace 0af7651916cd43dd8448eb211c80319c span b7ad6b7169203331",
        "prompt 8b1f0c6e-1234-4abc-9def-0123456789ab",
        "std::bad_alloc in c10::Error, torch 2.15.0+cpu",
        "Failed to decode image: cannot identify image file <upload>",
        "ddcolor_modelscope.pth is missing in <models>",
        "key error: 'conv.weight'",
        "size 640x480 outside 480–672, ratio 4:3",
    ],
)
def test_what_operators_need_is_left_alone(text: str) -> None:
    """Messages, routes, times, ids and versions pass unchanged."""
    assert masked(text) == text


def components() -> dict[str, dict[str, Any]]:
    """Return the component templates by name, that of the conventions among them."""
    files = sorted((FOLDER / "elasticsearch/component_templates").glob("*.json"))
    found = {file.stem: json.loads(file.read_text()) for file in files}
    return {**found, attributes.NAME: attributes.component_template()}


def field_types(node: Any) -> set[str]:
    """Return every mapping type below a node."""
    if isinstance(node, list):
        return set().union(*map(field_types, node))
    if not isinstance(node, dict):
        return set()
    own = {node["type"]} if isinstance(node.get("type"), str) else set()
    return own.union(*map(field_types, node.values()))


def test_templates_use_types_of_every_elasticsearch() -> None:
    """No type of a licensed or optional module: the templates install on a trimmed build, too."""
    assert field_types(list(components().values())) <= {
        *(
            "alias",
            "boolean",
            "byte",
            "date",
            "date_nanos",
            "double",
            "flattened",
            "keyword",
            "long",
        ),
        *("object", "passthrough", "text"),
    }


def test_mapped_attributes_are_declared_with_the_same_type() -> None:
    """A name in the templates is one of the semantic conventions, mapped as it is written."""
    wanted = {
        "string": {"keyword", "text"},
        "string[]": {"keyword"},
        "int": {"long"},
        "double": {"double"},
        "boolean": {"boolean"},
    }
    for component in components().values():
        properties = component["template"].get("mappings", {}).get("properties", {})
        attributes = properties.get("attributes", {}).get("properties", {})
        resource = properties.get("resource", {}).get("properties", {}).get("attributes", {})
        for name, mapping in {**attributes, **resource.get("properties", {})}.items():
            assert mapping["type"] in wanted[semconv.ATTRIBUTES[name].type], name


def test_strings_longer_than_lucene_takes_are_not_refused() -> None:
    """Every keyword that a sender fills has ignore_above, or it would refuse the document."""
    fixed = {"trace_id", "span_id", "parent_span_id", "kind", "code", "type"}
    fixed |= {"dataset", "namespace"}

    def unlimited(node: Any, name: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        own = [name] if node.get("type") == "keyword" and "ignore_above" not in node else []
        return own + [each for key, value in node.items() for each in unlimited(value, key)]

    for component in components().values():
        assert set(unlimited(component["template"], "")) <= fixed


def test_index_templates_use_what_is_there() -> None:
    """Every component and pipeline that is named exists, and every component is used."""
    known = components()
    policies = {file.stem for file in (FOLDER / "elasticsearch/lifecycle_policies").glob("*.json")}
    used: set[str] = set()
    for file in (FOLDER / "elasticsearch/index_templates").glob("*.json"):
        template = json.loads(file.read_text())
        used |= set(template["composed_of"])
        assert template["priority"] > 500
        (pattern,) = template["index_patterns"]
        assert pattern == f"{file.stem}-*"
        assert re.fullmatch(r"(logs|traces|metrics)-ddcolor\.[a-z_]+-\*", pattern)
        kept = set(template["ignore_missing_component_templates"])
        assert kept < set(template["composed_of"])
        assert kept < policies
        assert len(kept) == 1
    assert used - policies == set(known)
    pipelines = {file.stem for file in (FOLDER / "elasticsearch/ingest_pipelines").glob("*.json")}
    for component in known.values():
        index = component["template"].get("settings", {}).get("index", {})
        assert index.get("default_pipeline", "ddcolor-arrival") in pipelines


@pytest.mark.parametrize("name", ["agent", "gateway"])
def test_generated_sources_match_the_manifest(name: str) -> None:
    """What is compiled is what the manifest says: the builder was run after the last change."""
    manifest = yaml.safe_load((FOLDER / name / "manifest.yaml").read_text())
    kinds = ("receivers", "processors", "exporters", "extensions")
    wanted = {entry["gomod"] for kind in kinds for entry in manifest[kind]}
    components_go = (FOLDER / name / "components.go").read_text()
    assert set(re.findall(r'"(\S+ v[0-9.]+)"', components_go)) == wanted
    go_mod = (FOLDER / name / "go.mod").read_text()
    providers = {entry["gomod"] for entry in manifest["providers"]}
    assert {each for each in wanted | providers if f"\t{each}\n" not in go_mod} == set()


@pytest.mark.parametrize(("name", "config"), [("agent", AGENT), ("gateway", GATEWAY)])
def test_config_uses_every_component_that_is_built_in(name: str, config: dict[str, Any]) -> None:
    """Nothing is compiled in that the config does not use."""
    used = {
        key.split("/")[0].replace("_", "")
        for kind in ("receivers", "processors", "exporters", "extensions")
        for key in config[kind]
    }
    manifest = yaml.safe_load((FOLDER / name / "manifest.yaml").read_text())
    built = set()
    for kind in ("receivers", "processors", "exporters", "extensions"):
        for entry in manifest[kind]:
            module = entry["gomod"].split()[0].rsplit("/", 1)[1]
            built.add(module.removesuffix("extension").removesuffix(kind.removesuffix("s")))
    assert used == built


@pytest.mark.parametrize(
    ("template", "days"),
    [
        ("logs-ddcolor.otel", 30),
        ("logs-ddcolor.dead_letter", 30),
        ("logs-ddcolor.alerts", 90),
        ("traces-ddcolor.otel", 14),
        ("metrics-ddcolor.otel", 90),
    ],
)
def test_each_kind_is_kept_for_its_time(template: str, days: int) -> None:
    """A new index each day or 5 GB; it goes when its time is over."""
    resources = load(FOLDER / "elasticsearch", lifecycle_management=False)
    (found,) = [each for each in resources.templates if each.name == template]
    assert found.policy.rollover == {"max_age": "1d", "max_primary_shard_size": "5gb"}
    assert found.policy.keep == timedelta(days=days)


def test_refused_documents_are_kept_for_every_stream_but_their_own() -> None:
    """The failure store is on wherever the gateway's documents go."""
    resources = load(FOLDER / "elasticsearch", lifecycle_management=False)
    without = {each.name for each in resources.templates if not each.failure_store}
    assert without == {"logs-ddcolor.dead_letter"}


@pytest.mark.parametrize(
    ("overlay", "config"), [("agent.tls.yaml", AGENT), ("gateway.agents-tls.yaml", GATEWAY)]
)
def test_overlay_adds_to_what_is_there(overlay: str, config: dict[str, Any]) -> None:
    """An overlay sets what encrypts and nothing else, on a component that the config has."""
    node = yaml.safe_load((FOLDER / overlay).read_text())
    while set(node) != {"tls"}:
        ((key, node),) = node.items()
        config = config[key]
    assert "tls" not in config
    assert set(node["tls"]) <= {"ca_file", "cert_file", "key_file", "client_ca_file"}
    assert all(value.startswith("${env:") for value in node["tls"].values())
