"""The containers run what the native stack runs: the same files, told the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ddcolor_operations.cli import cli
from ddcolor_operations.elastic.collectors import (
    agent_environment,
    agent_launch,
    gateway_environment,
)
from ddcolor_operations.notifier.config import OVERRIDES, load_config
from ddcolor_operations.receivers.credentials import ensure_credentials
from ddcolor_operations.stack import parts
from ddcolor_operations.stack.config import DEFAULT_PORTS
from ddcolor_operations.toolchain import elasticsearch
from ddcolor_service.settings import load as load_service_settings
from tests.support.compose import ROOT, load, mounts
from tests.support.scripted_http import scripted_server

STACK = load()
SERVICES: dict[str, dict[str, Any]] = STACK["services"]


def config_file(name: str, target: str) -> Path:
    """Return the file of the checkout that a service sees at ``target``."""
    for entry in SERVICES[name].get("configs", []):
        if entry["target"] == target:
            return Path(ROOT / STACK["configs"][entry["source"]]["file"])
    for mount in mounts(SERVICES[name]):
        if mount.host and Path(target).is_relative_to(mount.target):
            return mount.host / Path(target).relative_to(mount.target)
    raise AssertionError(f"{name} has nothing at {target}")


def test_versions_are_those_that_run_natively() -> None:
    """Elasticsearch, Kibana, both collectors and ElastAlert2 are of the tested versions."""
    images = {name: service["image"] for name, service in SERVICES.items()}
    elastic = f":{elasticsearch.VERSION}"
    assert images["elasticsearch"] == f"docker.elastic.co/elasticsearch/elasticsearch{elastic}"
    assert images["kibana"] == f"docker.elastic.co/kibana/kibana{elastic}"
    assert images["elastalert2"].endswith(f":{parts._ELASTALERT_VERSION}")
    for name, version in {
        "agent": parts._AGENT_VERSION,
        "gateway": parts._GATEWAY_VERSION,
    }.items():
        assert images[name].endswith(f":{version}")
        arguments = SERVICES[name]["build"]["args"]
        assert arguments == {"COLLECTOR": f"otel/opentelemetry-collector-contrib:{version}"}


@pytest.mark.parametrize("name", ["agent", "gateway"])
def test_collectors_run_the_native_files(name: str) -> None:
    """The first --config is the file of the native stack."""
    command = SERVICES[name]["command"]
    assert command[0] == "--config"
    assert config_file(name, command[1]) == ROOT / "collector" / f"{name}.yaml"


def test_collectors_get_every_variable_that_the_native_stack_sets() -> None:
    """No variable of agent.yaml or gateway.yaml is missing or new."""
    native = {
        "agent": agent_environment(
            log_dir=Path("/l"),
            data_dir=Path("/d"),
            otlp_grpc_port=1,
            otlp_http_port=2,
            health_port=3,
            gateway_port=4,
        ),
        "gateway": gateway_environment(
            otlp_http_port=1, health_port=2, elasticsearch_url="http://e", agent_port=3
        )
        | {"ELASTICSEARCH_API_KEY_FILE": ""},
    }
    for name, environment in native.items():
        assert set(SERVICES[name]["environment"]) - {"GOMEMLIMIT"} == set(environment)


def test_agent_has_the_native_options() -> None:
    """The feature gate without which a kill loses lines is on."""
    native = agent_launch(Path("agent"), Path("agent.yaml"), {}).argv[3:]
    assert tuple(SERVICES["agent"]["command"][2:]) == native


def test_gateway_overlay_adds_the_key_alone() -> None:
    """Beside the native file, the gateway gets where its API key lies and nothing else."""
    file = config_file("gateway", SERVICES["gateway"]["command"][3])
    assert file == ROOT / "collector/gateway.secured.yaml"
    overlay = yaml.safe_load(file.read_text())
    assert overlay == {
        "exporters": {
            "elasticsearch": {"api_key": "${file:${env:ELASTICSEARCH_API_KEY_FILE}}"},
        }
    }


def test_elastalert_runs_the_native_configuration_and_rules() -> None:
    """The launcher, config.yaml and the rules are the checkout's; no needed variable is missing."""
    service = SERVICES["elastalert2"]
    rules = ROOT / "elastalert_rules"
    entry = service["entrypoint"]
    assert entry[:3] == ["python", "-m", "ddcolor_alerts.launcher"]
    config = config_file("elastalert2", entry[entry.index("--config") + 1])
    assert config == rules / "config.yaml"
    assert config_file("elastalert2", service["environment"]["PYTHONPATH"]) == rules
    assert {"ES_HOST", "ES_PORT", "ES_API_KEY_FILE", "DDCOLOR_NOTIFIER_URL"} <= set(
        service["environment"]
    )
    assert service["init"] is True


def test_setup_installs_the_native_templates() -> None:
    """The set-up sees the templates and pipelines where it looks for them."""
    home = SERVICES["setup"]["environment"]["DDCOLOR_OBS_HOME"]
    file = config_file("setup", f"{home}/collector/elasticsearch")
    assert file == ROOT / "collector/elasticsearch"
    home = SERVICES["dashboards"]["environment"]["DDCOLOR_OBS_HOME"]
    assert config_file("dashboards", f"{home}/dashboards") == ROOT / "dashboards"


def test_ports_on_this_machine_are_the_native_ones() -> None:
    """Clients find each part where the native stack has it."""
    published = {
        name: {int(port.split(":")[1]) for port in service.get("ports", [])}
        for name, service in SERVICES.items()
    }
    assert published["elasticsearch"] == {DEFAULT_PORTS["elasticsearch"]}
    assert published["agent"] == {DEFAULT_PORTS["agent"], DEFAULT_PORTS["agent_grpc"]}
    assert published["notifier"] == {DEFAULT_PORTS["notifier"]}
    assert published["service"] == {DEFAULT_PORTS["service"]}


@pytest.mark.parametrize("name", ["service", "service-gpu"])
def test_service_takes_its_command_and_environment(name: str, tmp_path: Path) -> None:
    """The service itself reads the container's arguments and variables without complaint."""
    token = tmp_path / "admin_token"
    token.write_text("x" * 32)
    program, *arguments = SERVICES[name]["command"]
    assert program == "ddcolor-service"
    arguments = [str(token) if a == "/run/secrets/admin_token" else a for a in arguments]
    for faults in ("", "true"):
        environment = SERVICES[name]["environment"] | {"DDCOLOR_FAULT_INJECTION": faults}
        settings = load_service_settings(arguments, environment)
        assert settings.fault_injection == bool(faults)
        assert str(settings.log_file).startswith("/var/log/ddcolor/")


def test_instances_of_the_service_share_no_state() -> None:
    """The one on the GPU has its own state and its own log file."""
    logs = {SERVICES[name]["command"][-3] for name in ("service", "service-gpu")}
    states = {mounts(SERVICES[name])[0].volume for name in ("service", "service-gpu")}
    assert len(logs) == len(states) == 2


def test_every_log_file_lies_where_the_agent_reads() -> None:
    """Parts that write log files share the agent's folder; the agent cannot change them."""
    folder = SERVICES["agent"]["environment"]["DDCOLOR_LOG_DIR"]
    for name in ("service", "service-gpu", "notifier", "elastalert2"):
        (mount,) = (m for m in mounts(SERVICES[name]) if m.target == folder)
        assert (mount.volume, mount.read_only) == ("logs", False)
    (mount,) = (m for m in mounts(SERVICES["agent"]) if m.target == folder)
    assert (mount.volume, mount.read_only) == ("logs", True)


@pytest.mark.parametrize("folder", ["notifier", "demo"])
def test_notifier_takes_its_configuration(folder: str, tmp_path: Path) -> None:
    """Both configurations are right, and every variable is one that the notifier knows."""
    environment = SERVICES["notifier"]["environment"]
    assert set(environment) <= set(OVERRIDES)
    text = (ROOT / "compose" / folder / "notifier.yaml").read_text()
    ensure_credentials(tmp_path / "receivers", 8086)
    file = tmp_path / "notifier.yaml"
    file.write_text(text.replace("/var/lib/ddcolor/receivers", str(tmp_path / "receivers")))
    config = load_config(file, environment)
    assert config.port == 8085
    demo = {"wecom", "dingtalk", "sms", "mail"}
    assert set(config.channels) == (demo if folder == "demo" else set())


def test_receivers_keys_are_made_where_the_notifier_reads_them(tmp_path: Path) -> None:
    """The one-shot's program writes the files that the demo's configuration names."""
    python, option, program = SERVICES["receivers-keys"]["command"]
    assert (python, option) == ("python", "-c")
    exec(program.replace("/var/lib/ddcolor/receivers", str(tmp_path)))  # noqa: S102 -- our own file
    named = (ROOT / "compose/demo/notifier.yaml").read_text()
    made = {path.name for path in tmp_path.iterdir()} - {"credentials.json"}
    assert {name for name in made if f"/var/lib/ddcolor/receivers/{name}" not in named} == set()
    receivers = SERVICES["receivers"]["command"]
    assert receivers[receivers.index("--port") + 1] == "8086"
    assert receivers[receivers.index("--smtp-port") + 1] == "8025"


def test_dashboards_come_by_the_operators_own_command(
    tmp_path: Path,
) -> None:
    """The one-shot runs the operators' import, and ends with 0 after a full one only."""
    program, *arguments = SERVICES["dashboards"]["command"]
    assert program == "ddcolor-obs"
    key = tmp_path / "api_key"
    key.write_text("KEY")
    objects = len((ROOT / "dashboards/kibana.ndjson").read_text().splitlines())
    with scripted_server() as kibana:
        changed = {"http://kibana:5601": kibana.url, "/run/keys/api_key": str(key)}
        arguments = [changed.get(argument, argument) for argument in arguments]
        for taken, status in ((objects, 0), (objects - 1, 1)):
            kibana.script(
                "POST /api/saved_objects/_import", (200, {"success": True, "successCount": taken})
            )
            assert CliRunner().invoke(cli, arguments).exit_code == status
        assert kibana.asked[0].headers["Authorization"] == "ApiKey KEY"
