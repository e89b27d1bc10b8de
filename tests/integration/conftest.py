"""The real parts that the integration tests share, started once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.elastic import Pipeline


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
