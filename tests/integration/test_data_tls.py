"""The way from agent to gateway, encrypted, for agents with a certificate alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from ddcolor_operations.elastic.collectors import (
    agent_environment,
    agent_launch,
    gateway_environment,
    gateway_launch,
)
from ddcolor_operations.layout import project_root
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.stack.probes import http_ok
from ddcolor_operations.toolchain import collectors
from tests.support.elastic import (
    LOG_STREAM,
    Pipeline,
    Process,
    eventually,
    free_ports,
    log_line,
    new_trace_id,
)

pytestmark = pytest.mark.timeout(300)

CONFIGS = project_root() / "collector"


def certificate(folder: Path, name: str, *options: str) -> tuple[Path, Path]:
    """Make a certificate of the authority in ``folder`` (or the authority itself) and its key."""
    made, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", str(key)),
            *("-out", str(made), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", *options),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


def overlaid(spec: LaunchSpec, overlay: str, env: dict[str, str]) -> LaunchSpec:
    """Return a launch with a second configuration file and what it asks for."""
    argv = (*spec.argv[:3], "--config", str(CONFIGS / overlay), *spec.argv[3:])
    return replace(spec, argv=argv, env={**spec.env, **env})


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Make an authority, a certificate for the gateway and one for an agent."""
    ca, ca_key = certificate(tmp_path, "authority")
    for name in ("gateway", "agent"):
        certificate(tmp_path, name, "-CA", str(ca), "-CAkey", str(ca_key))
    return ca


@pytest.fixture
def gateway(pipeline: Pipeline, authority: Path) -> Iterator[int]:
    """Run a gateway that takes only what comes from agents of the authority; give its port."""
    port, health, agent = free_ports(3)
    folder = authority.parent
    process = Process(
        lambda: overlaid(
            gateway_launch(
                collectors.ensure(print).gateway,
                CONFIGS / "gateway.yaml",
                gateway_environment(
                    otlp_http_port=port,
                    health_port=health,
                    elasticsearch_url=pipeline.url,
                    agent_port=agent,
                ),
            ),
            "gateway.agents-tls.yaml",
            {
                "DDCOLOR_GATEWAY_CERTIFICATE": str(folder / "gateway.crt"),
                "DDCOLOR_GATEWAY_KEY": str(folder / "gateway.key"),
                "DDCOLOR_AGENTS_CA": str(authority),
            },
        ),
        folder / "gateway.out",
    )
    process.start()
    try:
        eventually(http_ok(f"http://127.0.0.1:{health}/"))
        yield port
    finally:
        process.stop()


def test_agent_with_a_certificate_delivers(
    pipeline: Pipeline, authority: Path, gateway: int
) -> None:
    """A line goes by https to the gateway and is found."""
    grpc, http, health = free_ports(3)
    folder = authority.parent
    log_dir = folder / "log"
    log_dir.mkdir()
    environment = agent_environment(
        log_dir=log_dir,
        data_dir=folder / "data",
        otlp_grpc_port=grpc,
        otlp_http_port=http,
        health_port=health,
        gateway_port=gateway,
    ) | {
        "DDCOLOR_GATEWAY_URL": f"https://127.0.0.1:{gateway}",
        "DDCOLOR_GATEWAY_CA": str(authority),
        "DDCOLOR_AGENT_CERTIFICATE": str(folder / "agent.crt"),
        "DDCOLOR_AGENT_KEY": str(folder / "agent.key"),
    }
    agent = Process(
        lambda: overlaid(
            agent_launch(collectors.ensure(print).agent, CONFIGS / "agent.yaml", environment),
            "agent.tls.yaml",
            {},
        ),
        folder / "agent.out",
    )
    trace_id = new_trace_id()
    agent.start()
    try:
        line = json.dumps(log_line("by https", trace_id=trace_id))
        (log_dir / "tls.jsonl").write_text(f"{line}\n")
        pipeline.wait_for(LOG_STREAM, {"term": {"trace_id": trace_id}}, timeout_s=60)
    finally:
        agent.stop()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sender_without_a_certificate_is_refused(
    authority: Path, gateway: int, scheme: str
) -> None:
    """Neither plain text nor https without an agent's certificate reaches the gateway."""
    url = f"{scheme}://127.0.0.1:{gateway}/v1/logs"
    try:
        answer = requests.post(url, json={"resourceLogs": []}, verify=str(authority), timeout=10)
    except requests.exceptions.ConnectionError:
        return
    assert answer.status_code == 400
