"""One running service for each test that asks for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.service import Harness, encoded, running_service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Harness]:
    """Return a running service with default settings, stub models and armed admin API."""
    async with running_service(tmp_path) as harness:
        yield harness


@pytest.fixture
async def with_photo(service: Harness) -> Harness:
    """Return a running service that holds ``photo.png``."""
    status, _ = await service.upload(encoded(), "photo.png")
    assert status == 200
    return service
