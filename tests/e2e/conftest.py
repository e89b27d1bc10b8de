"""One whole stack for all end-to-end tests, and one performance of the demo on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from ddcolor_operations.demo.gather import Gathered
from ddcolor_operations.demo.run import Pace
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.stack import RunningStack
from tests.support.stacks import perform, whole_stack

# The first test of the session pays for the start and for the whole performance.
_TIMEOUT_S = 480


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each end-to-end test the time that the shared set-up may take."""
    for item in items:
        if "/e2e/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


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
    """Perform the demo once."""
    return perform(stack, Pace())
