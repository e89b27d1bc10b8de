"""ElastAlert2 as a process: settings, signals, changed rule files, an Elasticsearch that dies."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.layout import project_root
from ddcolor_operations.stack.launch import LaunchSpec
from ddcolor_operations.toolchain import elastalert
from tests.integration.test_elastalert import OOM, put
from tests.support.alerting import Alerting, AlertSink
from tests.support.elastic import LOG_STREAM, Pipeline, eventually

pytestmark = pytest.mark.timeout(240)

HOME = project_root() / "elastalert_rules"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy two rules and the shared part to where they can be changed; one file is broken."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(HOME / "shared", home / "shared")
    (home / "rules").mkdir()
    shutil.copy(HOME / "rules" / "keyword_out_of_memory.yaml", home / "rules")
    (home / "rules" / "broken.yaml").write_text("name: [", encoding="utf-8")
    return home / "rules"


def alerts_of(sink: AlertSink, service: str) -> list[str]:
    """Return the rules whose alerts have come for a service."""
    return [alert["rule"] for alert in sink.alerts(service=service)]


def fault(pipeline: Pipeline, service: str) -> None:
    """Make a fault visible."""
    put(pipeline, service, "Out of memory: node DDColor_Colorize (2)", **OOM)
    pipeline.client.options(request_timeout=60).indices.refresh(index=LOG_STREAM)


def test_a_broken_file_at_the_start_stops_no_other_rule(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink
) -> None:
    """The good rule runs, and the log names the file that does not."""
    fault(pipeline, "reload-start")

    eventually(lambda: alerts_of(sink, "reload-start") == ["keyword_out_of_memory"])
    said = " ".join(line["message"] for line in alerting.log_lines(**{"log.level": "error"}))
    assert "broken.yaml" in said


def test_a_saved_rule_runs_and_a_broken_save_keeps_the_old_one(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, rules: Path
) -> None:
    """A new level is used after the save; a save that breaks the file changes nothing."""
    file = rules / "keyword_out_of_memory.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("  level: 2\n", "  level: 3\n"), encoding="utf-8")
    eventually(lambda: _reloaded(alerting, 1))
    fault(pipeline, "reload-changed")
    eventually(lambda: sink.alerts(service="reload-changed"))
    assert [alert["level"] for alert in sink.alerts(service="reload-changed")] == [3]

    for broken in (text.replace("type: any", "type: nothing.at.all"), "name: [", "just text"):
        file.write_text(broken, encoding="utf-8")
        alerting.wait_rounds()
    assert not any("raised an exception" in text for text in _messages(alerting))
    fault(pipeline, "reload-broken")
    eventually(lambda: sink.alerts(service="reload-broken"))
    assert [alert["level"] for alert in sink.alerts(service="reload-broken")] == [3]

    file.write_text(text, encoding="utf-8")
    eventually(lambda: _reloaded(alerting, 2))
    fault(pipeline, "reload-mended")
    eventually(lambda: sink.alerts(service="reload-mended"))
    assert [alert["level"] for alert in sink.alerts(service="reload-mended")] == [2]


def test_a_rule_that_is_renamed_in_its_file_runs_under_its_new_name_only(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, rules: Path
) -> None:
    """The job of the old name ends."""
    file = rules / "keyword_out_of_memory.yaml"
    text = file.read_text(encoding="utf-8")
    renamed = text.replace("name: keyword_out_of_memory", "name: renamed")
    file.write_text(renamed, encoding="utf-8")
    eventually(
        lambda: any("keyword_out_of_memory no longer runs" in m for m in _messages(alerting))
    )
    fault(pipeline, "reload-renamed")
    alerting.wait_rounds()

    assert alerts_of(sink, "reload-renamed") == ["renamed"]


def test_an_elasticsearch_that_is_killed_loses_no_alert(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink
) -> None:
    """What was taken just before Elasticsearch died is alerted on when it is back."""
    for number in range(5):
        put(pipeline, f"killed-{number}", "Out of memory: just before", **OOM)
    pipeline.elasticsearch.kill()
    pipeline.elasticsearch.start()

    services = [f"killed-{number}" for number in range(5)]
    eventually(lambda: all(sink.alerts(service=service) for service in services), timeout_s=120)
    fault(pipeline, "after-the-kill")
    eventually(lambda: sink.alerts(service="after-the-kill"), timeout_s=60)


def test_it_ends_in_good_order(pipeline: Pipeline, sink: AlertSink, tmp_path: Path) -> None:
    """SIGTERM ends it with status 0 within seconds, and its ready file is gone."""
    running = Alerting(pipeline.url, sink, tmp_path)
    running.start()
    process = running.process._process
    assert process is not None
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=20) == 0
    assert not running.ready_file.exists()
    assert running.log_lines(**{semconv.EVENT_NAME: semconv.EVENT_ALERTING_STOPPED})


def test_it_ends_while_it_waits_for_elasticsearch(sink: AlertSink, tmp_path: Path) -> None:
    """Without Elasticsearch it says that it waits, and a signal ends it."""
    waiting = Alerting("http://127.0.0.1:1", sink, tmp_path)
    waiting.process.start()
    process = waiting.process._process
    assert process is not None
    eventually(lambda: any("Waiting for Elasticsearch" in m for m in _messages(waiting)))
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ES_PORT": "9200", "DDCOLOR_NOTIFIER_URL": "http://127.0.0.1:1"}, "ES_HOST"),
        ({"ES_HOST": "127.0.0.1", "ES_PORT": "9200"}, "DDCOLOR_NOTIFIER_URL"),
        (
            {
                "ES_HOST": "127.0.0.1",
                "ES_PORT": "9200",
                "DDCOLOR_NOTIFIER_URL": "http://127.0.0.1:1",
                "ES_PASSWORD_FILE": "/nowhere/password",
            },
            "ES_PASSWORD_FILE",
        ),
    ],
)
def test_a_missing_setting_ends_it_with_its_name(environment: dict[str, str], said: str) -> None:
    """It ends with status 2 and names the variable."""
    python = elastalert.ensure(print).python
    spec = LaunchSpec(
        (str(python), "-m", "ddcolor_alerts.launcher"),
        {"PYTHONPATH": str(HOME), **environment},
        clear_env=True,
    )
    done = subprocess.run(
        spec.command(),
        env=spec.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stdout


def _messages(alerting: Alerting) -> list[str]:
    if not alerting.log_file.exists():
        return []
    return [line["message"] for line in alerting.log_lines()]


def _reloaded(alerting: Alerting, times: int) -> bool:
    return sum("runs as it was saved" in m for m in _messages(alerting)) >= times
