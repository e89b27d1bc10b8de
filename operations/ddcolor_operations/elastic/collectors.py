"""How the agent and the gateway are started as child processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ddcolor_operations.stack.launch import LaunchSpec

# Belongs to agent.yaml: without it lines that are only in memory count as delivered.
_AGENT_GATES = "--feature-gates=stanza.synchronousLogEmitter"


def agent_launch(binary: Path, config: Path, env: Mapping[str, str]) -> LaunchSpec:
    """Return how to start the agent; ``env`` holds the variables that agent.yaml names."""
    return collector_launch(binary, config, env, _AGENT_GATES)


def gateway_launch(binary: Path, config: Path, env: Mapping[str, str]) -> LaunchSpec:
    """Return how to start the gateway; ``env`` holds the variables that gateway.yaml names."""
    return collector_launch(binary, config, env)


def collector_launch(
    binary: Path, config: Path, env: Mapping[str, str], *options: str
) -> LaunchSpec:
    """Return how to start a collector with nothing but ``env`` as its environment.

    The caller's environment stays out: a collector takes proxies and OTEL_* from it, and would send
    to the gateway by way of a proxy.
    """
    return LaunchSpec(
        argv=(str(binary), "--config", str(config), *options),
        env=dict(env),
        clear_env=True,
    )


def agent_environment(
    *,
    log_dir: Path,
    data_dir: Path,
    otlp_grpc_port: int,
    otlp_http_port: int,
    health_port: int,
    gateway_port: int,
    host: str = "127.0.0.1",
) -> dict[str, str]:
    """Return the environment that agent.yaml needs, all on ``host``."""
    return {
        "DDCOLOR_LOG_DIR": str(log_dir),
        "DDCOLOR_AGENT_DATA_DIR": str(data_dir),
        "DDCOLOR_AGENT_OTLP_GRPC": f"{host}:{otlp_grpc_port}",
        "DDCOLOR_AGENT_OTLP_HTTP": f"{host}:{otlp_http_port}",
        "DDCOLOR_AGENT_HEALTH": f"{host}:{health_port}",
        "DDCOLOR_GATEWAY_URL": f"http://{host}:{gateway_port}",
    }


def gateway_environment(
    *,
    otlp_http_port: int,
    health_port: int,
    elasticsearch_url: str,
    agent_port: int,
    host: str = "127.0.0.1",
) -> dict[str, str]:
    """Return the environment that gateway.yaml needs, all on ``host``.

    ``agent_port`` is the OTLP/HTTP port of the agent that takes the gateway's own telemetry.
    """
    return {
        "DDCOLOR_GATEWAY_OTLP_HTTP": f"{host}:{otlp_http_port}",
        "DDCOLOR_TELEMETRY_URL": f"http://{host}:{agent_port}",
        "DDCOLOR_GATEWAY_HEALTH": f"{host}:{health_port}",
        "ELASTICSEARCH_URL": elasticsearch_url,
    }
