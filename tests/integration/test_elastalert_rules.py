"""Every rule against its corpus: ElastAlert2's own classes, and Elasticsearch's own search."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from elasticsearch.helpers import bulk

from ddcolor_operations.layout import project_root
from ddcolor_operations.rules import options
from ddcolor_operations.rules.corpus import corpus_of, read_corpus
from ddcolor_operations.rules.files import load_rule, rule_files
from ddcolor_operations.rules.offline import run_corpora
from ddcolor_operations.rules.query import matches_filter
from ddcolor_operations.toolchain import elastalert
from tests.support.elastic import Pipeline

pytestmark = pytest.mark.timeout(180)

HOME = project_root() / "elastalert_rules"
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
        answer = pipeline.client.search(
            index=index, query={"bool": {"filter": filters}}, size=10_000, source=False
        )
        found = {hit["_id"] for hit in answer["hits"]["hits"]}
        expected = {uid for uid, source in documents.items() if matches_filter(filters, source)}
        assert found == expected, path.stem
        assert expected, f"{path.stem}: no document of any corpus passes its filter"


def test_the_linters_list_of_options_is_that_of_the_installed_elastalert2(python: Path) -> None:
    """The committed list is what ``python -m ddcolor_alerts.options`` prints."""
    printed = _run(python, "ddcolor_alerts.options")
    assert json.loads(printed.stdout) == options.elastalert()


def test_classes_behave_in_their_own_environment(python: Path) -> None:
    """The unit tests of the classes pass where ElastAlert2 is installed."""
    folder = Path(__file__).parents[1] / "unit" / "alerts_classes"
    done = _run(python, "unittest", "discover", "-s", str(folder), "-p", "check_*.py")
    assert done.returncode == 0, done.stderr


def _run(python: Path, *module_and_arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", *module_and_arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"},
    )
