"""One whole stack for all end-to-end tests, and one performance of the demo on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from elasticsearch import Elasticsearch

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.demo.gather import Gathered, gather
from ddcolor_operations.demo.run import Pace, Performance
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.stack import RunningStack
from tests.support.stacks import whole_stack

# The first test of the session pays for the start and for the whole performance.
_TIMEOUT_S = 480


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each end-to-end test the time that the shared set-up may take."""
    for item in items:
        if "/e2e/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


class _Printed:
    """Prints progress, which pytest shows when a test fails."""

    def doing(self, text: Text) -> None:
        """Say nothing of what has not ended."""

    def done(self, text: Text, *, good: bool = True) -> None:
        """Print what was done."""
        print("ok" if good else "NOT OK", text.en)  # noqa: T201 - pytest captures it


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """Run every part of the stack for the session; its logs are kept when a test failed."""
    with whole_stack(keep_state=lambda: request.session.testsfailed > 0) as running:
        yield running


@pytest.fixture(scope="session")
def elastic(stack: RunningStack) -> Iterator[Elasticsearch]:
    """Connect to the stack's Elasticsearch."""
    with connect(stack.config.url("elasticsearch")) as client:
        yield client


@pytest.fixture(scope="session")
def gathered(stack: RunningStack) -> Gathered:
    """Perform the demo once: photos, six faults, their alerts, and the facts read back."""
    started_at = datetime.now(UTC)
    performed = Performance(stack, stack.config.state / "results", _Printed(), Pace()).run()
    return gather(stack, performed, started_at)
