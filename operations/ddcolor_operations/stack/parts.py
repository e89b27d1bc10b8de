"""The parts of the native stack: what each runs, how it is told to, and when it is ready."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from comfyui_telemetry import __version__
from ddcolor_operations.elastic import setup
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.elastic.collectors import (
    agent_environment,
    agent_launch,
    gateway_environment,
    gateway_launch,
)
from ddcolor_operations.elastic.server import prepare
from ddcolor_operations.layout import project_root
from ddcolor_operations.notifier.client import Client, ClientError, read_token
from ddcolor_operations.toolchain import collectors, elastalert, elasticsearch

from .config import HOST, StackConfig
from .launch import LaunchSpec
from .notifier_config import write_notifier_config
from .part import Part
from .probes import elasticsearch_ready, http_ok, touched_within

_AGENT_VERSION = "0.155.0"
_GATEWAY_VERSION = "0.120.0"
_ELASTALERT_VERSION = "2.31.0"
# ElastAlert2 writes its file after each round of all rules, about once a second when all is well.
_ELASTALERT_SILENT_S = 15.0
# `data keep` looks for refused documents every 10 s.
_DATA_SILENT_S = 60.0
# The watcher does so each second, at the end of the way through its worker and back.
_WATCHER_SILENT_S = 10.0
# The watchdog writes down each look, every 10 s if not set otherwise, after its tries to tell.
_WATCHDOG_SILENT_S = 120.0


def build_parts(config: StackConfig) -> list[Part]:
    """Return the parts in the order in which ``status`` shows them and a stop walks back.

    Raises ToolchainError if a tool is missing; the set-up has seen to them before.
    """
    receivers = [_receivers(config)] if config.demo else []
    if config.embedded:
        parts = [_notifier(config), _watchdog(config), _watcher(config), _service(config)]
        return [*receivers, *parts]
    return [
        *receivers,
        _elasticsearch(config),
        _data(config),
        _gateway(config),
        _agent(config),
        _notifier(config),
        _watchdog(config),
        _elastalert(config),
        *([_watcher(config)] if config.watcher else []),
        _service(config),
    ]


def _elasticsearch(config: StackConfig) -> Part:
    home = elasticsearch.ensure(_silent)
    url = config.url("elasticsearch")
    launch = prepare(
        home,
        config.run_dir / "elasticsearch",
        config.data_dir("elasticsearch"),
        config.log_dir / "elasticsearch",
        config.port("elasticsearch"),
        config.port("elasticsearch_transport"),
        config.elasticsearch_heap,
    )

    def install_templates() -> None:
        # Before any data: a document without a matching template is refused and gone. All parts
        # start at the same time, so it may take Elasticsearch longer than usual to answer.
        with connect(url, request_timeout_s=60.0) as client:
            setup.install(client, project_root() / "collector" / "elasticsearch")

    return Part(
        "elasticsearch",
        elasticsearch.VERSION,
        config.port("elasticsearch"),
        launch,
        elasticsearch_ready(url),
        after_ready=install_templates,
        start_timeout_s=180,
        stop_timeout_s=30,
    )


def _data(config: StackConfig) -> Part:
    ready_file = _ready_file(config, "data")
    launch = _command(
        *("data", "keep", "--url", config.url("elasticsearch")),
        *("--ready-file", str(ready_file), "--log-file", str(config.log_dir / "data.jsonl")),
    )
    ready = touched_within(ready_file, _DATA_SILENT_S)
    return Part("data", __version__, None, launch, ready, ("elasticsearch",))


def _gateway(config: StackConfig) -> Part:
    launch = gateway_launch(
        collectors.ensure(_silent).gateway,
        project_root() / "collector" / "gateway.yaml",
        gateway_environment(
            otlp_http_port=config.port("gateway"),
            health_port=config.port("gateway_health"),
            elasticsearch_url=config.url("elasticsearch"),
            agent_port=config.port("agent"),
        ),
    )
    ready = http_ok(config.url("gateway_health"))
    return Part(
        "gateway", _GATEWAY_VERSION, config.port("gateway"), launch, ready, ("elasticsearch",)
    )


def _agent(config: StackConfig) -> Part:
    launch = agent_launch(
        collectors.ensure(_silent).agent,
        project_root() / "collector" / "agent.yaml",
        agent_environment(
            log_dir=config.log_dir,
            data_dir=config.data_dir("agent"),
            otlp_grpc_port=config.port("agent_grpc"),
            otlp_http_port=config.port("agent"),
            health_port=config.port("agent_health"),
            gateway_port=config.port("gateway"),
        ),
    )
    ready = http_ok(config.url("agent_health"))
    # It needs nobody: what it cannot deliver yet waits in its queue on disk.
    return Part("agent", _AGENT_VERSION, config.port("agent"), launch, ready)


def _notifier(config: StackConfig) -> Part:
    launch = LaunchSpec(
        (sys.executable, "-m", "ddcolor_operations.notifier", "--config", _notifier_file(config)),
        _notifier_environment(config),
    )
    ready = http_ok(f"{config.url('notifier')}/healthz")
    return Part(
        *("notifier", __version__, config.port("notifier"), launch, ready),
        after_ready=lambda: _forget_other_ways(config),
    )


def _forget_other_ways(config: StackConfig) -> None:
    """Have the notifier expect no heartbeat by a way that this stack, unlike the last, lacks."""
    client = Client(config.url("notifier"), read_token(None))
    runs = {"elasticsearch": not config.embedded, "watcher": config.embedded or config.watcher}
    for way in (way for way, is_there in runs.items() if not is_there):
        # Mostly it has never come by that way. At the worst the notifier says that it is silent.
        with contextlib.suppress(ClientError):
            client.forget_path(way)


def _watchdog(config: StackConfig) -> Part:
    state = config.data_dir("watchdog") / "watchdog.json"
    launch = _command(
        *("watchdog", "--config", _notifier_file(config), "--url", config.url("notifier")),
        *("--state", str(state), "--log-file", str(config.log_dir / "watchdog.jsonl")),
        # Its messages go by the notifier's channels and are worded as the notifier's are.
        environment=_notifier_environment(config),
    )
    ready = touched_within(state, _WATCHDOG_SILENT_S)
    return Part("watchdog", __version__, None, launch, ready)


def _notifier_file(config: StackConfig) -> str:
    return str(config.notifier or write_notifier_config(config))


def _notifier_environment(config: StackConfig) -> dict[str, str]:
    return {
        "DDCOLOR_NOTIFIER_HOST": HOST,
        "DDCOLOR_NOTIFIER_PORT": str(config.port("notifier")),
        "DDCOLOR_NOTIFIER_DATA_DIR": str(config.data_dir("notifier")),
        "DDCOLOR_NOTIFIER_LOG_FILE": str(config.log_dir / "notifier.jsonl"),
        "DDCOLOR_NOTIFIER_LANGUAGE": config.language,
        # Without Elasticsearch there is nothing that a link could show.
        "DDCOLOR_NOTIFIER_KIBANA_URL": "" if config.embedded else config.kibana_url,
    }


def _elastalert(config: StackConfig) -> Part:
    python = elastalert.ensure(_silent).python
    rules = project_root() / "elastalert_rules"
    ready_file = _ready_file(config, "elastalert")
    launch = LaunchSpec(
        (
            *(str(python), "-m", "ddcolor_alerts.launcher"),
            *("--config", str(rules / "config.yaml"), "--ready-file", str(ready_file)),
            *("--log-file", str(config.log_dir / "elastalert.jsonl")),
        ),
        {
            "PYTHONPATH": str(rules),
            "ES_HOST": HOST,
            "ES_PORT": str(config.port("elasticsearch")),
            "DDCOLOR_NOTIFIER_URL": config.url("notifier"),
        },
    )
    return Part(
        "elastalert",
        _ELASTALERT_VERSION,
        None,
        launch,
        touched_within(ready_file, _ELASTALERT_SILENT_S),
        ("elasticsearch", "notifier"),
    )


def _watcher(config: StackConfig) -> Part:
    ready_file = _ready_file(config, "watcher")
    launch = _command(
        *("watch", str(config.log_dir / "*.jsonl"), "--notifier", config.url("notifier")),
        *("--memory", str(config.data_dir("watcher") / "watch.sqlite")),
        *("--ready-file", str(ready_file), "--log-file", str(config.log_dir / "watcher.jsonl")),
        # The service starts at the same time: what it says before the watcher looks counts.
        "--from-start",
    )
    ready = touched_within(ready_file, _WATCHER_SILENT_S)
    return Part("watcher", __version__, None, launch, ready, ("notifier",))


def _service(config: StackConfig) -> Part:
    models = [str(folder) for folder in config.models]
    launch = LaunchSpec(
        (
            *(sys.executable, "-m", "ddcolor_service", "--host", HOST),
            *("--port", str(config.port("service"))),
            *("--state", str(config.data_dir("service"))),
            *(("--models", *models) if models else ()),
            *("--log-file", str(config.log_dir / "service.jsonl"), "--no-log-stdout"),
            *("--admin-token-file", str(config.ensure_admin_token())),
            *(("--fault-injection",) if config.demo else ()),
        ),
        _export(config),
    )
    ready = http_ok(f"{config.url('service')}/healthz")
    return Part(
        "service",
        __version__,
        config.port("service"),
        launch,
        ready,
        # It lets the running prompt end (drain_s, 25 s) and then its node.
        stop_timeout_s=50,
    )


def _export(config: StackConfig) -> dict[str, str]:
    """Return where the service sends traces and metrics; trace ids are made in any case."""
    if config.embedded:
        return {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": config.url("agent"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        # Milliseconds. A killed process takes the metrics since its last export with it.
        "OTEL_METRIC_EXPORT_INTERVAL": "10000",
    }


def _receivers(config: StackConfig) -> Part:
    launch = LaunchSpec(
        (
            *(sys.executable, "-m", "ddcolor_operations.receivers"),
            *("--port", str(config.port("receivers"))),
            *("--smtp-port", str(config.port("receivers_smtp"))),
            *("--store", str(config.data_dir("receivers") / "messages.jsonl")),
        )
    )
    ready = http_ok(f"{config.url('receivers')}/healthz")
    return Part("receivers", __version__, config.port("receivers"), launch, ready)


def _ready_file(config: StackConfig, part: str) -> Path:
    """Return the file that ``part`` touches, without what an earlier stack has left there."""
    file = config.run_dir / f"{part}.ready"
    file.unlink(missing_ok=True)
    return file


def _command(*arguments: str, environment: Mapping[str, str] | None = None) -> LaunchSpec:
    """Return how a part that is one of our own commands is started."""
    return LaunchSpec((sys.executable, "-m", "ddcolor_operations", *arguments), environment or {})


def _silent(_: str) -> None:
    """Take the set-up's progress: in the supervisor everything is in the cache already."""
