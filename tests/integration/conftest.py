"""The real parts that the integration tests share, started once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from ddcolor_operations.layout import project_root
from tests.support.alerting import Alerting, AlertSink
from tests.support.elastic import Pipeline

_CHROMIUM = "/usr/bin/chromium"
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pipeline() -> Iterator[Pipeline]:
    """Agent, gateway and Elasticsearch with the project's own configs and templates.

    Tests keep apart by their own trace ids and log files. A test that kills a part starts it again.
    """
    # Not pytest's own folder: that is closed to other users, and as root Elasticsearch is one.
    folder = Path(tempfile.mkdtemp(prefix="ddcolor-pipeline-"))
    folder.chmod(0o755)
    running = Pipeline(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
    # Reached when the tests went well enough to stop; else the logs are worth keeping.
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def sink() -> Iterator[AlertSink]:
    """Stand in for the notifier."""
    running = AlertSink()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def rules() -> Path:
    """Return the folder of rules that ElastAlert2 runs; a module may have others."""
    return project_root() / "elastalert_rules" / "rules"


@pytest.fixture(scope="module")
def alerting(
    pipeline: Pipeline, sink: AlertSink, rules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alerting]:
    """Run ElastAlert2 with the module's rules."""
    running = Alerting(pipeline.url, sink, tmp_path_factory.mktemp("alerting"), rules)
    running.start()
    yield running
    running.stop()
