"""configure(): files, environment, idempotence, forks, and life without a collector."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from comfyui_telemetry import Telemetry, configure, semconv
from comfyui_telemetry.testing import capture


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "COMFYUI_TELEMETRY_")):
            monkeypatch.delenv(name)


@contextlib.contextmanager
def _configured(log_file: Path | None, **settings: Any) -> Iterator[Telemetry]:
    quiet = {"log_stdout": False, "traces": False, "metrics": False, "service_heartbeat_s": 0}
    settings = {**quiet, "role": "part", **settings}
    telemetry = configure("svc", "1.0", log_file, **settings)
    try:
        yield telemetry
    finally:
        telemetry.shutdown()


def _records(log_file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_file.read_text().splitlines()]


def _run_a_prompt(telemetry: Telemetry) -> str:
    """Record a prompt of one node and return its trace's id."""
    with telemetry.recorder.prompt("p", node_count=1) as prompt, prompt.node("2", "B"):
        return prompt.trace_id


class _Collector:
    """An OTLP/HTTP receiver inside this process."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    request = ExportTraceServiceRequest.FromString(body)
                    collector.spans += [
                        (resource.resource, span)
                        for resource in request.resource_spans
                        for scope in resource.scope_spans
                        for span in scope.spans
                    ]
                else:
                    collector.metrics += [
                        metric
                        for resource in ExportMetricsServiceRequest.FromString(
                            body
                        ).resource_metrics
                        for scope in resource.scope_metrics
                        for metric in scope.metrics
                    ]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[_Collector]:
    """Yield a collector that takes OTLP over HTTP."""
    made = _Collector()
    yield made
    made.close()


def test_records_go_to_the_file(tmp_path: Path) -> None:
    """After shutdown all lines are in the file, of which each is one JSON object."""
    log_file = tmp_path / "svc.jsonl"
    with _configured(log_file) as telemetry:
        for number in range(100):
            telemetry.logger("t").info(f"line {number}")
        _run_a_prompt(telemetry)
        telemetry.logger("t").info("last line")
    messages = [record["message"] for record in _records(log_file)]
    assert messages[:100] == [f"line {number}" for number in range(100)]
    assert messages[100] == "Prompt started"
    assert messages[-1] == "last line"
    uids = [record[semconv.LOG_RECORD_UID] for record in _records(log_file)]
    assert uids == sorted(uids)


def test_a_second_call_returns_the_first_telemetry(tmp_path: Path) -> None:
    """The same settings silently, other settings with one record that says so."""
    log_file = tmp_path / "svc.jsonl"
    with _configured(log_file) as first, _configured(log_file) as second:
        assert second is first
        assert configure("other") is first
        handlers = [h for h in logging.getLogger().handlers if "comfyui" in type(h).__module__]
        assert len(handlers) == 1
    assert [record[semconv.EVENT_NAME] for record in _records(log_file)] == [
        semconv.EVENT_TELEMETRY_DEGRADED
    ]


def test_after_shutdown_it_can_be_configured_anew(tmp_path: Path) -> None:
    """Each configuration has its own instance id; shutdown may be called twice."""
    ids = []
    for number in range(2):
        log_file = tmp_path / f"{number}.jsonl"
        with _configured(log_file) as telemetry:
            telemetry.logger("t").info("m")
        telemetry.shutdown()
        telemetry.logger("t").info("after the end, to nowhere")
        ids += [record[semconv.SERVICE_INSTANCE_ID] for record in _records(log_file)]
    assert len(set(ids)) == len(ids) == 2


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_* and COMFYUI_TELEMETRY_* stand over parameters."""
    log_file = tmp_path / "env.jsonl"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-env")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=i-1")
    monkeypatch.setenv("COMFYUI_TELEMETRY_LOG_FILE", str(log_file))
    monkeypatch.setenv("COMFYUI_TELEMETRY_LOG_LEVEL", "WARNING")
    monkeypatch.setenv("COMFYUI_TELEMETRY_TIME_LIMIT_S", "7.5")
    with _configured(tmp_path / "other.jsonl") as telemetry:
        assert telemetry.settings.time_limit_s == 7.5
        telemetry.logger("t").info("not shown")
        telemetry.logger("t").warning("shown")
    (record,) = _records(log_file)
    assert record["message"] == "shown"
    assert record[semconv.SERVICE_NAME] == "from-env"
    assert record[semconv.SERVICE_INSTANCE_ID] == "i-1"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TIME_LIMIT_S", "soon"), ("HEARTBEAT_S", "-1"), ("LOG_LEVEL", "loud"), ("LOG_STDOUT", "x")],
)
def test_a_wrong_variable_is_said_and_left_out(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error of an operator does not keep the service from starting."""
    monkeypatch.setenv(f"COMFYUI_TELEMETRY_{variable}", value)
    log_file = tmp_path / "svc.jsonl"
    with _configured(log_file) as telemetry:
        assert telemetry.settings.time_limit_s == 30
    (record,) = _records(log_file)
    assert record[semconv.TELEMETRY_REASON] == "setting_ignored"
    assert f"COMFYUI_TELEMETRY_{variable}" in record["message"]


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"time_limit_s": 0}, "time_limit_s"),
        ({"heartbeat_s": -1}, "heartbeat_s"),
        ({"service_heartbeat_s": -1}, "service_heartbeat_s"),
        ({"log_level": "loud"}, "log_level"),
        ({"role": "master"}, "role"),
        ({"log_max_bytes": 0}, "log_max_bytes"),
        ({"service_name": ""}, "service_name"),
    ],
)
def test_a_wrong_parameter_is_an_error_that_names_it(parameters: dict[str, Any], name: str) -> None:
    """What the code asks for must make sense."""
    with pytest.raises(ValueError, match=name):
        configure(**{"service_name": "svc", **parameters})


def test_spans_and_metrics_reach_a_collector(
    collector: _Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT, with resource; histograms are deltas."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    with _configured(tmp_path / "svc.jsonl", traces=True, metrics=True) as telemetry:
        with telemetry.recorder.prompt("p", node_count=1) as prompt, prompt.node("2", "B"):
            pass
        assert telemetry.flush()
        assert [span.name for _, span in collector.spans] == ["node B", "prompt"]
    resource = {
        attribute.key: attribute.value.string_value
        for attribute in collector.spans[0][0].attributes
    }
    assert resource[semconv.SERVICE_NAME] == "svc"
    assert resource[semconv.SERVICE_VERSION] == "1.0"
    durations = [m for m in collector.metrics if m.name == semconv.METRIC_NODE_DURATION]
    assert durations[0].histogram.aggregation_temporality == 1
    assert telemetry.dropped() == {}


def test_without_a_collector_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A refused connection costs counted spans and one line on stderr; the log is complete."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    log_file = tmp_path / "svc.jsonl"
    telemetry = configure("svc", None, log_file, log_stdout=False)
    for _ in range(10):
        _run_a_prompt(telemetry)
    telemetry.shutdown(1.0)
    assert telemetry.dropped()["span_export_failed"] == 20
    finished = [
        record
        for record in _records(log_file)
        if record.get(semconv.EVENT_NAME) == semconv.EVENT_PROMPT_FINISHED
    ]
    assert len(finished) == 10
    assert capfd.readouterr().err.count("Spans cannot be exported") == 1


def test_a_missing_exporter_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the exporter there are still ids in the log, and one record says what is missing."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "no_such_exporter")
    log_file = tmp_path / "svc.jsonl"
    with (
        _configured(log_file, traces=True) as telemetry,
        telemetry.recorder.prompt("p", node_count=0) as prompt,
    ):
        assert prompt.trace_id != "0" * 32
    reasons = {record.get(semconv.TELEMETRY_REASON) for record in _records(log_file)}
    assert "exporter_missing" in reasons


def test_an_unknown_protocol_is_said_and_http_used(
    collector: _Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error in the protocol's name loses no span."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier/pigeon")
    log_file = tmp_path / "svc.jsonl"
    with _configured(log_file, traces=True) as telemetry:
        telemetry.tracer.start_span("s").end()
    assert [span.name for _, span in collector.spans] == ["s"]
    assert any("carrier/pigeon" in record["message"] for record in _records(log_file))


def test_the_sdk_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SDK_DISABLED leaves the log and nothing else."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    log_file = tmp_path / "svc.jsonl"
    with _configured(log_file, traces=True, metrics=True) as telemetry:
        assert _run_a_prompt(telemetry) == "0" * 32
    assert telemetry.dropped() == {}
    assert len(_records(log_file)) == 4


def test_an_unwritable_file_stops_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A folder in the log file's place: the work goes on, stderr says it once."""
    log_file = tmp_path / "svc.jsonl"
    log_file.mkdir()
    with _configured(log_file) as telemetry:
        for _ in range(100):
            telemetry.logger("t").info("m")
    assert capfd.readouterr().err.count("cannot be written") == 1
    assert telemetry.dropped()["log_write_failed"] >= 100


def test_stdout_gets_the_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With log_stdout the same lines go to the process's standard output."""
    log_file = tmp_path / "svc.jsonl"
    with _configured(log_file, log_stdout=True) as telemetry:
        telemetry.logger("t").info("m")
        with telemetry.recorder.prompt("p", node_count=0):
            pass
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert lines == log_file.read_text().splitlines()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_telemetry(tmp_path: Path) -> None:
    """Parent and child write whole lines to one file, each under its own instance, none twice."""
    log_file = tmp_path / "svc.jsonl"
    with _configured(log_file) as telemetry:
        log = telemetry.logger("t")
        for number in range(200):
            log.info(f"parent {number}")
        child = os.fork()
        if child == 0:
            log.info("child")
            with telemetry.recorder.prompt("p", node_count=0):
                pass
            telemetry.shutdown()
            # Not sys.exit(): the rest of the test belongs to the parent.
            os._exit(0)
        os.waitpid(child, 0)
        log.info("parent after")
    records = _records(log_file)
    messages = [record["message"] for record in records]
    assert sorted(messages) == sorted(
        [f"parent {number}" for number in range(200)]
        + ["child", "Prompt started", "parent after"]
        + [message for message in messages if message.startswith("Prompt finished")]
    )
    instances = {record[semconv.SERVICE_INSTANCE_ID] for record in records}
    assert len(instances) == 2
    assert len({record[semconv.LOG_RECORD_UID] for record in records}) == len(records)


def test_loggers_are_made_once() -> None:
    """The same name gives the same logger, so that no event pays for a look-up."""
    with capture() as captured:
        assert captured.telemetry.logger("a") is captured.telemetry.logger("a")
