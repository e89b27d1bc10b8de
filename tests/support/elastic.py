"""Real Elasticsearch, gateway and agent for tests: start, kill, start again, read back."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import requests
from elasticsearch import Elasticsearch

from ddcolor_operations.elastic.client import connect
from ddcolor_operations.elastic.collectors import (
    agent_environment,
    agent_launch,
    gateway_environment,
    gateway_launch,
)
from ddcolor_operations.elastic.server import prepare
from ddcolor_operations.elastic.setup import install, wait_ready
from ddcolor_operations.layout import project_root
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.stack.probes import http_ok
from ddcolor_operations.toolchain import collectors, elasticsearch

T = TypeVar("T")

LOG_STREAM = "logs-ddcolor.otel-default"
SPAN_STREAM = "traces-ddcolor.otel-default"
METRIC_STREAM = "metrics-ddcolor.otel-default"


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free now and differ from each other."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def eventually(
    look: Callable[[], T], accept: Callable[[T], bool] = bool, timeout_s: float = 30.0
) -> T:
    """Call ``look`` until ``accept`` takes its result, and return it; AssertionError otherwise."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if accept(found):
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"Not seen within {timeout_s} s; last: {str(found)[:2000]}")
        time.sleep(0.1)


class Process:
    """One real part, started from a LaunchSpec, whose output goes to a file."""

    def __init__(self, launch: Callable[[], LaunchSpec], output: Path) -> None:
        self._launch = launch
        self.output = output
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; it must not be running."""
        assert self._process is None
        spec = self._launch()
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                spec.command(),
                env=spec.environment(),
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it in good order, if it runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if how == signal.SIGTERM:
            process.terminate()
        else:
            os.killpg(process.pid, how)
        process.wait(timeout=30)


class Pipeline:
    """Agent, gateway and Elasticsearch on free ports, with all state below one folder."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(7)
        http, transport, gateway, gateway_health, grpc, otlp, agent_health = ports
        self.url = f"http://127.0.0.1:{http}"
        self.otlp_url = f"http://127.0.0.1:{otlp}"
        self.gateway_url = f"http://127.0.0.1:{gateway}"
        self.log_dir = folder / "log"
        self._health = {"agent": agent_health, "gateway": gateway_health}
        self.client: Elasticsearch = connect(self.url)
        self.log_dir.mkdir(parents=True)
        binaries = collectors.ensure(print)
        home = elasticsearch.ensure(print)
        configs = project_root() / "collector"
        self.templates = configs / "elasticsearch"
        data = folder / "data"
        self.elasticsearch = Process(
            lambda: prepare(
                home,
                folder / "elasticsearch-config",
                data / "elasticsearch",
                folder / "elasticsearch-logs",
                http,
                transport,
            ),
            folder / "elasticsearch.out",
        )
        self.gateway = Process(
            lambda: gateway_launch(
                binaries.gateway,
                configs / "gateway.yaml",
                gateway_environment(
                    otlp_http_port=gateway,
                    health_port=gateway_health,
                    elasticsearch_url=self.url,
                    agent_port=otlp,
                ),
            ),
            folder / "gateway.out",
        )
        self.agent = Process(
            lambda: agent_launch(
                binaries.agent,
                configs / "agent.yaml",
                agent_environment(
                    log_dir=self.log_dir,
                    data_dir=data / "agent",
                    otlp_grpc_port=grpc,
                    otlp_http_port=otlp,
                    health_port=agent_health,
                    gateway_port=gateway,
                ),
            ),
            folder / "agent.out",
        )

    def start(self) -> None:
        """Start everything, templates first, and wait until all of it is ready."""
        self.elasticsearch.start()
        wait_ready(self.client)
        install(self.client, self.templates)
        self.gateway.start()
        self.agent.start()
        for part in self._health:
            self.wait_healthy(part)

    def stop(self) -> None:
        """Stop everything, senders first."""
        for part in (self.agent, self.gateway, self.elasticsearch):
            part.stop()
        self.client.close()

    def wait_healthy(self, part: str) -> None:
        """Wait for the health check of ``agent`` or ``gateway``."""
        eventually(http_ok(f"http://127.0.0.1:{self._health[part]}/"))

    def write_lines(self, lines: Iterable[Mapping[str, Any] | str], name: str = "test") -> None:
        """Append lines to a log file that the agent tails, as a rotating handler does."""
        with (self.log_dir / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            for line in lines:
                text = line if isinstance(line, str) else json.dumps(line)
                file.write(text + "\n")
                file.flush()

    def post(self, signal_name: str, body: Mapping[str, Any]) -> None:
        """Send OTLP/JSON to the agent, repeating as an SDK does until it is taken."""

        def sent() -> bool:
            try:
                answer = requests.post(f"{self.otlp_url}/v1/{signal_name}", json=body, timeout=10)
            except requests.RequestException:
                return False
            return answer.status_code == 200

        eventually(sent)

    def search(self, stream: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the hits that are visible now; a stream that is only being made has none."""
        answer = self.client.options(ignore_status=(404, 503)).search(
            index=stream, query=query, size=10_000
        )
        return list(answer.get("hits", {}).get("hits", []))

    def wait_for(
        self, stream: str, query: Mapping[str, Any], count: int = 1, timeout_s: float = 30.0
    ) -> list[dict[str, Any]]:
        """Wait until at least ``count`` documents match; return all that do."""
        return eventually(
            lambda: self.search(stream, query), lambda hits: len(hits) >= count, timeout_s
        )


def new_trace_id() -> str:
    """Return a random trace id."""
    return secrets.token_hex(16)


def new_span_id() -> str:
    """Return a random span id."""
    return secrets.token_hex(8)


def log_line(message: str, **attributes: Any) -> dict[str, Any]:
    """Return a log line as the telemetry library writes it, with a fresh uid."""
    return {
        "@timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "log.level": "info",
        "message": message,
        "service.name": "ddcolor-service",
        "service.version": "0.1.0",
        "service.instance.id": "6f0c2a00-1111-4222-8333-123456789abc",
        "log.record.uid": secrets.token_hex(13).upper(),
        **attributes,
    }


def otlp_span(
    trace_id: str,
    span_id: str,
    *,
    name: str = "node LoadImage",
    parent: str = "",
    attributes: Mapping[str, str | int | float | bool] | None = None,
    status_message: str = "",
    duration_ns: int = 1_500_000,
) -> dict[str, Any]:
    """Return an OTLP/JSON request with one span of ddcolor-service that ends now."""
    end = time.time_ns()
    span: dict[str, Any] = {
        "traceId": trace_id,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(end - duration_ns),
        "endTimeUnixNano": str(end),
        "attributes": otlp_attributes(attributes or {}),
        "status": {"code": 2, "message": status_message} if status_message else {},
    }
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": otlp_attributes({"service.name": "ddcolor-service"})},
                "scopeSpans": [{"scope": {"name": "tests"}, "spans": [span]}],
            }
        ]
    }


def otlp_gauges(
    resource: Mapping[str, str],
    values: Mapping[str, int | float],
    labels: Mapping[str, str | int | float | bool],
) -> dict[str, Any]:
    """Return an OTLP/JSON request with a gauge of each value, measured now."""
    now = str(time.time_ns())

    def point(value: float) -> dict[str, Any]:
        number = {"asInt": str(value)} if isinstance(value, int) else {"asDouble": value}
        return {"timeUnixNano": now, "attributes": otlp_attributes(labels), **number}

    metrics = [{"name": n, "gauge": {"dataPoints": [point(v)]}} for n, v in values.items()]
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": otlp_attributes(dict(resource))},
                "scopeMetrics": [{"scope": {"name": "tests"}, "metrics": metrics}],
            }
        ]
    }


def otlp_attributes(values: Mapping[str, str | int | float | bool]) -> list[dict[str, Any]]:
    """Return attributes in OTLP/JSON, where an int travels as a string."""

    def typed(value: str | int | float | bool) -> dict[str, Any]:
        if isinstance(value, bool):
            return {"boolValue": value}
        if isinstance(value, int):
            return {"intValue": str(value)}
        if isinstance(value, float):
            return {"doubleValue": value}
        return {"stringValue": value}

    return [{"key": key, "value": typed(value)} for key, value in values.items()]
