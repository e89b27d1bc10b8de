"""ElastAlert2's traps on the real ElastAlert2, as far as no other test meets them there.

Which test closes which trap stands in tests/unit/traps/test_traps.py.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.layout import project_root
from ddcolor_operations.toolchain import elastalert
from tests.integration.test_elastalert import OOM, put
from tests.support.alerting import Alerting
from tests.support.elastic import LOG_STREAM, Pipeline, eventually, log_line
from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import places
from tests.support.watching import Watching

pytestmark = pytest.mark.timeout(240)

HOME = project_root() / "elastalert_rules"
TAKEN = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n"
    b'{"status": "accepted"}'
)
NONSENSE = (
    b"",
    b"\x00\xff\xfe\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\ncut off",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hexadecimal\r\n",
    b"HTTP/1.1 500 No\r\nContent-Type: a/b; charset=none\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    b"HTTP/1.1 302 Found\r\nLocation: /alerts\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    b"HTTP/1.1 999 " + b"x" * 100_000 + b"\r\n\r\n",
)
# Whole answers, of something that is no notifier.
FOREIGN = tuple(
    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (status, len(body), body)
    for status in (b"202 Accepted", b"400 Bad Request")
    for body in (b"[1]", b"{}")
)
SILENT = """
name: silent
import: ../shared/common.yaml
type: flatline
threshold: 1
timeframe: {seconds: 3}
run_every: {seconds: 2}
realert: {minutes: 0}
filter:
  - term: {service.name: SERVICE}
x-ddcolor:
  kind: service_down
  level: 3
  owner: operations
  runbook: {zh: 看日志。, en: See its log.}
  false_positives: [None known.]
"""


class OddNotifier:
    """Answers with the given bytes, the last of them for ever, and keeps what it was sent."""

    def __init__(self, answers: tuple[bytes, ...]) -> None:
        self.received: list[dict[str, Any]] = []
        self.url = ""
        self._answers = list(answers)

    def answer(self, body: bytes) -> bytes:
        """Keep an alert; return what to answer."""
        self.received.append(json.loads(body))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@contextmanager
def listening(odd: OddNotifier) -> Iterator[OddNotifier]:
    """Let the notifier's stand-in listen within the block."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            if length:
                self.wfile.write(odd.answer(self.rfile.read(length)))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        odd.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield odd
        server.shutdown()


@contextmanager
def running(alerting: Alerting) -> Iterator[Alerting]:
    """Run ElastAlert2 within the block."""
    alerting.start()
    try:
        yield alerting
    finally:
        alerting.stop()


@pytest.fixture
def service() -> str:
    """Name a service that no other test uses."""
    return f"service-{secrets.token_hex(4)}"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Return a folder with one shipped rule and the part that all share."""
    shutil.copytree(HOME / "shared", tmp_path / "home" / "shared")
    folder = tmp_path / "home" / "rules"
    folder.mkdir()
    shutil.copy(HOME / "rules" / "keyword_out_of_memory.yaml", folder)
    return folder


def fault(pipeline: Pipeline, service: str, message: str = "Out of memory: again") -> None:
    """Make a fault visible."""
    put(pipeline, service, message, **OOM)
    pipeline.client.options(request_timeout=60).indices.refresh(index=LOG_STREAM)


def test_a_notifier_that_answers_nonsense_disables_no_rule(
    pipeline: Pipeline, rules: Path, service: str, tmp_path: Path
) -> None:
    """Traps 3 and 5: whatever comes back, the rule runs on, and what it repeats has one id."""
    with (
        listening(OddNotifier((*NONSENSE, *FOREIGN, TAKEN))) as odd,
        running(Alerting(pipeline.url, odd, tmp_path / "alerting", rules)) as alerting,
    ):
        fault(pipeline, service)
        eventually(lambda: len(odd.received) > len(NONSENSE) + len(FOREIGN), timeout_s=90)
        alerting.wait_rounds()
        fault(pipeline, service, "Out of memory: a second one")
        eventually(
            lambda: len({a["alert_id"] for a in odd.received if a["service"] == service}) == 2
        )
        said = alerting.log_lines(**{"log.level": "error"})

    assert not any("disabled" in line["message"].lower() for line in said)


def test_a_notifier_that_answers_nonsense_stops_no_watcher(
    rules: Path, service: str, tmp_path: Path
) -> None:
    """Trap 3, on the other way: the watcher keeps the alert until a notifier has taken it."""
    log_file = tmp_path / "service.jsonl"
    with listening(OddNotifier((*NONSENSE, *FOREIGN, TAKEN))) as odd:
        watching = Watching([log_file], odd, tmp_path / "watching", rules)
        watching.start()
        try:
            line = log_line("Out of memory: again", **OOM, **{semconv.SERVICE_NAME: service})
            log_file.write_text(json.dumps(line) + "\n", encoding="utf-8")
            answers = len(NONSENSE) + len(FOREIGN) + 1
            eventually(lambda: len(odd.received) == answers, timeout_s=60)
        finally:
            watching.stop()

    assert {(alert["service"], alert["alert_id"]) for alert in odd.received} == {
        (service, odd.received[0]["alert_id"])
    }


def test_an_odd_record_is_told_like_any_other(
    pipeline: Pipeline, rules: Path, service: str, tmp_path: Path
) -> None:
    """Trap 3: nothing in a record makes redaction or the alert's text fail and so drops it."""
    odd_texts = (
        "{count.__class__} {0} {message} %s %(x)s $HOME",
        "\x00\x1b[31m\u202e\ufeff\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "/srv/photos/anna/" * 500,
        "a" * 20_000,
        "[" * 2_000 + "]" * 2_000,
    )
    with (
        listening(OddNotifier((TAKEN,))) as odd,
        running(Alerting(pipeline.url, odd, tmp_path / "alerting", rules)),
    ):
        for text in odd_texts:
            fault(pipeline, service, f"Out of memory: {text}")

        def told() -> dict[str, str]:
            return {a["alert_id"]: a["summary"] for a in odd.received if a["service"] == service}

        summaries = eventually(told, lambda found: len(found) == len(odd_texts)).values()

    assert all(summary.startswith("Out of memory: ") for summary in summaries)
    assert not any("anna" in summary for summary in summaries)


def test_rules_run_on_time_and_old_documents_are_cleared(
    pipeline: Pipeline, rules: Path, tmp_path: Path
) -> None:
    """Traps 4 and 13: no jitter, the first run at once, and a job that deletes what is old."""
    address = urlsplit(pipeline.url)
    code = (
        "import json, sys; from datetime import UTC, datetime\n"
        "from ddcolor_alerts.runner import Runner\n"
        "runner = Runner(['--config', sys.argv[1]], lambda *_: None)\n"
        "jobs = {job.id: job for job in runner.scheduler.get_jobs()}\n"
        "now = datetime.now(UTC)\n"
        "print(json.dumps({name: [job.trigger.jitter, job.trigger.interval.total_seconds(),"
        " getattr(job, 'next_run_time', now) <= now] for name, job in jobs.items()}))\n"
    )
    done = subprocess.run(
        [str(elastalert.ensure(print).python), "-c", code, str(HOME / "config.yaml")],
        env={
            **os.environ,
            "PYTHONPATH": str(HOME),
            "ES_HOST": str(address.hostname),
            "ES_PORT": str(address.port),
            "DDCOLOR_NOTIFIER_URL": "http://127.0.0.1:1",
            "DDCOLOR_RULES_FOLDER": str(rules),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    jobs = json.loads(done.stdout.splitlines()[-1])

    assert jobs["keyword_out_of_memory"] == [None, 1.0, True]
    assert jobs["_retention"][1] == 3600.0


def test_the_indices_have_their_mapping_before_the_first_write(
    pipeline: Pipeline, rules: Path, service: str, tmp_path: Path
) -> None:
    """Trap 12: ElastAlert2's own, which a first write without it would have made otherwise."""
    with (
        listening(OddNotifier((TAKEN,))) as odd,
        running(Alerting(pipeline.url, odd, tmp_path / "alerting", rules)) as alerting,
    ):
        fault(pipeline, service)
        eventually(lambda: odd.received)
        alerting.wait_rounds()

    mappings = pipeline.client.indices.get_mapping(index="elastalert-ddcolor*").body
    properties = {name: found["mappings"]["properties"] for name, found in mappings.items()}
    # A first write would have made an object with a field for each of the match's.
    assert properties["elastalert-ddcolor"]["match_body"] == {"type": "object", "enabled": False}
    assert properties["elastalert-ddcolor"]["rule_name"]["type"] == "keyword"
    assert properties["elastalert-ddcolor_status"]["starttime"]["type"] == "date"
    assert properties["elastalert-ddcolor_silence"]["until"]["type"] == "date"


def test_a_silent_service_is_told_once(
    pipeline: Pipeline, rules: Path, service: str, tmp_path: Path
) -> None:
    """Trap 15: a flatline rule at its worst raises many alerts, of which one speaks."""
    (rules / "keyword_out_of_memory.yaml").unlink()
    (rules / "silent.yaml").write_text(SILENT.replace("SERVICE", service), encoding="utf-8")
    with places(tmp_path) as all_places:
        notifier = NotifierProcess(all_places.config(), free_port())
        notifier.start()
        try:
            with running(
                Alerting(pipeline.url, notifier, tmp_path / "alerting", rules)
            ) as alerting:
                put(pipeline, service, "Still here", **{semconv.NODE_ID: "2"})
                eventually(lambda: len(notifier.alerts()) >= 3, timeout_s=90)
                alerting.wait_rounds()
            alerts = notifier.settled()
        finally:
            notifier.kill()

    assert {alert["rule"] for alert in alerts} == {"silent"}
    assert [alert["status"] for alert in alerts] == ["accepted"] + ["held_back"] * (len(alerts) - 1)
    for place in all_places.all:
        assert len(place.received) == 1
