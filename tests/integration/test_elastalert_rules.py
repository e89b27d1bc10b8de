"""Every rule against its corpus: ElastAlert2's own classes, and Elasticsearch's own search."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from elasticsearch.helpers import bulk

from ddcolor_alerts.fields import Fields
from ddcolor_alerts.query import read_filter
from ddcolor_operations.layout import project_root
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.paths import Beat
from ddcolor_operations.rules import options
from ddcolor_operations.rules.corpus import corpus_of, read_corpus
from ddcolor_operations.rules.files import load_rule, rule_files
from ddcolor_operations.rules.offline import run_corpora
from ddcolor_operations.toolchain import elastalert
from tests.support.elastic import Pipeline

pytestmark = pytest.mark.timeout(180)

ROOT = project_root()
HOME = ROOT / "elastalert_rules"
RULES = rule_files(HOME / "rules")


@pytest.fixture(scope="module")
def python() -> Path:
    """Return the interpreter of ElastAlert2's environment."""
    return elastalert.ensure(print).python


def test_every_corpus_comes_out_as_expected(python: Path) -> None:
    """The alerts of ElastAlert2's rule classes are those that the corpora expect."""
    results = run_corpora(RULES, python, HOME)

    failures = [str(result) for result in results if result.failures]
    assert not failures, "\n".join(failures)
    assert {result.rule for result in results} == {path.stem for path in RULES}
    for message in (message for result in results for message in result.alerts):
        # What the notifier would call unusable would be lost.
        if "alert_id" in message:
            assert Alert.from_json(message).alert_id == message["alert_id"]
        else:
            assert Beat.from_json(message).service == message["service"]


def test_elasticsearch_finds_what_the_offline_filter_finds(pipeline: Pipeline) -> None:
    """Of all documents of all corpora, each rule's filter finds the same ones in both."""
    index = "logs-ddcolor.otel-corpora"
    documents = {}
    for path in RULES:
        for number, case in enumerate(read_corpus(corpus_of(path))):
            for position, (_, document) in enumerate(case.documents):
                source = {name: value for name, value in document.items() if name != "_id"}
                documents[f"{path.stem}-{number}-{position}"] = source
    bulk(
        pipeline.client.options(request_timeout=60),
        (
            {"_op_type": "create", "_index": index, "_id": uid, "_source": source}
            for uid, source in documents.items()
        ),
        refresh=True,
    )

    for path in RULES:
        filters = load_rule(path).data["filter"]
        # Some events are handed on to a data stream of their own.
        answer = pipeline.client.search(
            index="logs-ddcolor.*",
            query={"bool": {"filter": [*filters, {"ids": {"values": list(documents)}}]}},
            size=10_000,
            source=False,
        )
        found = {hit["_id"] for hit in answer["hits"]["hits"]}
        passes = read_filter(filters)
        expected = {uid for uid, source in documents.items() if passes(Fields(source))}
        assert found == expected, path.stem
        assert expected, f"{path.stem}: no document of any corpus passes its filter"


def test_the_linters_list_of_options_is_that_of_the_installed_elastalert2(python: Path) -> None:
    """The committed list is what ``python -m ddcolor_alerts.options`` prints."""
    printed = _run(python, "-m", "ddcolor_alerts.options")
    assert json.loads(printed.stdout) == options.elastalert()


def test_classes_behave_in_their_own_environment(python: Path) -> None:
    """The unit tests of the classes pass where ElastAlert2 is installed."""
    folder = Path(__file__).parents[1] / "unit" / "alerts_classes"
    done = _run(python, "-m", "unittest", "discover", "-s", str(folder), "-p", "check_*.py")
    assert done.returncode == 0, done.stderr


def test_old_documents_of_elastalert2_are_deleted(pipeline: Pipeline, python: Path) -> None:
    """Old ones go, recent ones stay, and so does an alert that is still to be sent."""
    index = "retention-test"
    client = pipeline.client.options(request_timeout=60)
    long_ago, now = "2020-01-01T00:00:00Z", datetime.now(UTC).isoformat()
    documents: dict[str, tuple[str, dict[str, Any]]] = {
        "old-status": (f"{index}_status", {"@timestamp": long_ago}),
        "new-status": (f"{index}_status", {"@timestamp": now}),
        "old-sent": (index, {"@timestamp": long_ago, "alert_sent": True}),
        "old-unsent": (index, {"@timestamp": long_ago, "alert_sent": False}),
    }
    address = urlsplit(pipeline.url)
    connect = f"Elasticsearch(host='{address.hostname}', port={address.port}, timeout=60)"
    imports = "from elasticsearch import Elasticsearch; from ddcolor_alerts import indices"

    def call(function: str) -> subprocess.CompletedProcess[str]:
        return _run(python, "-c", f"{imports}; indices.{function}({connect}, '{index}')")

    # Twice: the second finds everything there.
    for _ in range(2):
        assert call("create").returncode == 0
    for uid, (name, document) in documents.items():
        client.index(index=name, id=uid, document=document, refresh=True)
    done = call("forget_old")
    assert done.returncode == 0, done.stderr

    client.indices.refresh(index=f"{index}*")
    left = client.search(index=f"{index}*", source=False)["hits"]["hits"]
    assert {hit["_id"] for hit in left} == {"new-status", "old-unsent"}


def _run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ElastAlert2's Python with the arguments; both packages can be imported."""
    return subprocess.run(
        [str(python), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{HOME}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
    )
