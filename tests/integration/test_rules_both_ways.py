"""Every rule on the real ElastAlert2 and Elasticsearch says what the offline engine says."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch.helpers import bulk

from comfyui_telemetry import semconv
from ddcolor_operations.layout import project_root
from ddcolor_operations.rules import options
from ddcolor_operations.rules.corpus import Case, corpus_of, read_corpus
from ddcolor_operations.rules.files import Rule, load_rule, rule_files
from ddcolor_operations.rules.offline import evaluate
from ddcolor_operations.toolchain import elastalert
from tests.integration.test_elastalert import put
from tests.support.alerting import Alerting, AlertSink
from tests.support.elastic import LOG_STREAM, Pipeline, eventually

pytestmark = pytest.mark.timeout(300)

HOME = project_root() / "elastalert_rules"
# Long ago, so that a record's own time is never taken for the time of its arrival.
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=30)
# What is the same on both ways; trace and prompt ids are the records' and so the same too.
COMPARED = (
    *("alert_id", "rule", "kind", "level", "service", "node", "prompt_id", "occurred_at"),
    *("summary", "count", "values"),
)
TYPES = ("any", options.CONSECUTIVE, options.WINDOW)


def comparable(rule: Rule, case: Case) -> bool:
    """Return whether a case means the same when all its documents arrive at this moment.

    Not so if it lets time pass, restarts, delays documents, or says something again after a while.
    """
    happened = [at for at, document in case.documents if at_of(document) == at]
    quiet = rule.data["realert"] == {"minutes": 0}
    return (
        rule.data["type"] in TYPES
        and rule.data["alert"] == options.ALERTER
        and rule.data["index"] == "logs-ddcolor.otel-*"
        and not case.restarts
        and len(happened) == len(case.documents)
        and (quiet or len(case.expected) < 2)
    )


def at_of(document: dict[str, Any]) -> timedelta:
    """Return when a document happened, from the start of its case."""
    return datetime.fromtimestamp(float(document["@timestamp"]) / 1000, UTC) - START


def cases() -> list[tuple[Rule, Case]]:
    """Return the comparable cases of all rules, each with services and uids of its own."""
    found = []
    for path in rule_files(HOME / "rules"):
        rule = load_rule(path)
        for number, case in enumerate(read_corpus(corpus_of(path), START)):
            if comparable(rule, case):
                mark = f"{rule.name.replace('_', '')}{number}"
                marked = [(at, marked_copy(document, mark)) for at, document in case.documents]
                found.append((rule, dataclasses.replace(case, documents=marked)))
    return found


def marked_copy(document: dict[str, Any], mark: str) -> dict[str, Any]:
    """Return a document that no other case has, of a service that no other case has."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    attributes, resource = copy["attributes"], copy["resource"]["attributes"]
    copy["_id"] = attributes[semconv.LOG_RECORD_UID] = f"{mark}-{copy['_id']}"
    if semconv.PROMPT_ID in attributes:
        attributes[semconv.PROMPT_ID] += f"-{mark}"
    if semconv.PART_NAME in attributes:
        attributes[semconv.PART_NAME] += f"-{mark}"
    elif resource[semconv.SERVICE_NAME] not in ("ddcolor-elastalert", "ddcolor-notifier"):
        resource[semconv.SERVICE_NAME] += f"-{mark}"
    return copy


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the project's rules, but with a silence of three seconds."""
    home = tmp_path_factory.mktemp("home")
    for name in ("rules", "shared"):
        shutil.copytree(HOME / name, home / name)
    silent = home / "rules" / "service_silent.yaml"
    text = silent.read_text("utf-8")
    assert "  seconds: 90" in text
    silent.write_text(text.replace("  seconds: 90", "  seconds: 3"), "utf-8")
    return home / "rules"


def test_the_corpora_raise_the_same_alerts_with_the_same_ids(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink
) -> None:
    """Ids, times, texts and numbers of both ways are equal, case by case."""
    work = cases()
    assert {rule.data["type"] for rule, _ in work} == set(TYPES)
    offline = evaluate(work, elastalert.ensure(print).python, HOME)

    documents = [document for _, case in work for _, document in case.documents]
    now = {"ingested": datetime.now(UTC).isoformat()}
    actions = [
        {
            "_op_type": "create",
            "_index": LOG_STREAM,
            "_id": document["_id"],
            "_source": {**document, "event": now},
        }
        for document in documents
    ]
    for action in actions:
        del action["_source"]["_id"]
    # A record that is sent twice is refused the second time.
    client = pipeline.client.options(request_timeout=60)
    bulk(client, actions, chunk_size=len(actions), refresh=True, raise_on_error=False)

    wanted = {alert["alert_id"]: shown(alert) for alerts in offline for alert in alerts}
    eventually(
        lambda: wanted.keys() <= {alert["alert_id"] for alert in sink.alerts()}, timeout_s=60
    )
    alerting.wait_rounds()
    # Every rule sees every document; what counts is what a rule says of its own corpus.
    came = {
        alert["alert_id"]: shown(alert)
        for alert in sink.alerts()
        if re.search(rf"-{alert['rule'].replace('_', '')}\d+\Z", alert["service"])
    }
    assert came == wanted


def shown(alert: dict[str, Any]) -> dict[str, Any]:
    """Return what both ways must agree on."""
    return {name: alert[name] for name in COMPARED}


BEAT = {semconv.EVENT_NAME: semconv.EVENT_SERVICE_HEARTBEAT, semconv.QUEUE_DEPTH: 0}
CLOCK = {semconv.EVENT_NAME: semconv.EVENT_ALERTING_HEARTBEAT}


@pytest.mark.parametrize("end", ["stop", "kill", None])
def test_a_silent_service_is_said_once_also_over_a_restart(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, end: str | None
) -> None:
    """Silent while others are heard, said once; stopped in good order, never said."""
    silent, stopped = f"silent-{end}", f"stopped-{end}"
    for service in (silent, stopped):
        put(pipeline, service, "Service alive", **BEAT)
    bye = {semconv.EVENT_NAME: semconv.EVENT_SERVICE_STOPPED}
    put(pipeline, stopped, "Service stopped", **bye)
    alerting.wait_rounds()
    if end is not None:
        getattr(alerting, end)()
        alerting.start()

    def heard() -> bool:
        put(pipeline, "ddcolor-elastalert", "All rules ran", **CLOCK)
        return bool(sink.alerts(service=silent))

    eventually(heard, timeout_s=90)
    if end is not None:
        getattr(alerting, end)()
        alerting.start()
        alerting.wait_rounds()
    (alert,) = sink.alerts(service=silent)
    assert (alert["rule"], alert["kind"], alert["level"]) == ("service_silent", "service_down", 3)
    assert sink.alerts(service=stopped) == []


def test_nobody_is_silent_while_nothing_at_all_arrives(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink
) -> None:
    """When the collectors stand still the rule is still, too; the next record makes it speak."""
    put(pipeline, "unheard", "Service alive", **BEAT)
    # More rounds than seconds of silence and of the time that it has to last.
    alerting.wait_rounds(20)
    assert sink.alerts(service="unheard") == []

    put(pipeline, "ddcolor-elastalert", "All rules ran", **CLOCK)
    eventually(lambda: sink.alerts(service="unheard"), timeout_s=90)


def test_each_sign_of_life_is_a_heartbeat_and_no_alert(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink
) -> None:
    """The notifier hears the service's name and time; nothing is written to the history."""
    put(pipeline, "beating", "Service alive", **BEAT)

    (beat,) = eventually(lambda: [b for b in sink.heartbeats if b["service"] == "beating"])
    assert beat["path"] == "elasticsearch"
    assert datetime.fromisoformat(beat["occurred_at"]).tzinfo is not None
    assert sink.alerts(rule="chain_heartbeat") == []
    alerting.wait_rounds()
    history = pipeline.client.options(ignore_status=404).search(
        index="elastalert-ddcolor", query={"term": {"rule_name": "chain_heartbeat"}}
    )
    assert history["hits"]["hits"] == []


def test_a_saved_rule_keeps_its_half_full_window(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink, rules: Path
) -> None:
    """Three failures, a saved comment, two more failures are five; so it is with the p95."""
    failed: dict[str, Any] = {
        "log.level": "error",
        semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
        semconv.ERROR_KIND: "output_damaged",
        semconv.ERROR_LEVEL: 2,
        semconv.NODE_CLASS_TYPE: "DDColor_Colorize",
        semconv.NODE_OUTCOME: "executed",
        semconv.NODE_DURATION: 33.0,
    }

    def put_many(number: int) -> None:
        for _ in range(number):
            put(pipeline, "half-full", "Damaged output: black", **failed)
        alerting.wait_rounds()

    put_many(19)
    names = ("frequency_failures", "node_latency_p95")
    assert len(sink.alerts(service="half-full", rule=names[0])) == 1
    assert sink.alerts(service="half-full", rule=names[1]) == []
    burst = {**failed, semconv.ERROR_KIND: "execution_error"}
    put(pipeline, "half-kind", "Execution error: x", **burst)
    alerting.wait_rounds()
    for name in names:
        file = rules / f"{name}.yaml"
        file.write_text(file.read_text("utf-8") + "# saved\n", "utf-8")
    eventually(
        lambda: all(
            alerting.log_lines(message=f"Rule {name} runs as it was saved") for name in names
        )
    )
    put_many(1)
    (alert,) = eventually(lambda: sink.alerts(service="half-full", rule=names[1]))
    assert alert["values"] == {"p95_s": 33.0, "samples": 20}
    for _ in range(4):
        put(pipeline, "half-kind", "Execution error: x", **burst)
    (alert,) = eventually(lambda: sink.alerts(service="half-kind", rule=names[0]))
    assert alert["count"] == 5


def test_a_refused_document_is_told_from_where_it_is_kept(
    pipeline: Pipeline, alerting: Alerting, sink: AlertSink
) -> None:
    """Its record goes to the dead letters, whose rule says the reason; a second is held still."""
    refused = {semconv.EVENT_NAME: semconv.EVENT_DOCUMENT_REFUSED, semconv.ERROR_TYPE: "parsing"}
    for _ in range(2):
        put(pipeline, "refusing", "Document refused: no number", **refused)
    alerting.wait_rounds()

    (alert,) = eventually(lambda: sink.alerts(service="refusing"))
    assert (alert["rule"], alert["kind"]) == ("documents_refused", "telemetry_refused")
    assert alert["summary"] == "Document refused: no number"
