"""The real service, and the page of it: what the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    expect,
)

from tests.support.page import OpenPage
from tests.support.service_process import ServiceProcess

# Counts object URLs that live, and tells of everything the policy had to stop.
WATCH = """
window.living = new Set();
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (blob) => { const url = createObjectURL(blob); living.add(url); return url; };
URL.revokeObjectURL = (url) => { living.delete(url); revokeObjectURL(url); };
addEventListener("securitypolicyviolation", (e) => console.error("CSP", e.violatedDirective));
"""


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    service = ServiceProcess(tmp_path_factory.mktemp("service")).start()
    yield service
    service.stop()


@pytest.fixture
def service(shared_service: ServiceProcess) -> Iterator[ServiceProcess]:
    """Yield a running service; afterwards nothing runs and no fault is armed any more."""
    yield shared_service
    shared_service.settle()


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """Yield a service that the test may stop and start."""
    service = ServiceProcess(tmp_path).start()
    yield service
    service.stop()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open pages; at the end no script may have failed and no other host been asked."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def watch(page: Page, service: ServiceProcess) -> None:
        def note_request(url: str) -> None:
            if not url.startswith((service.url, "blob:")):
                problems.append(f"asked {url}")

        page.on("request", lambda request: note_request(request.url))
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on(
            "console",
            lambda message: (
                problems.append(message.text) if message.text.startswith("CSP") else None
            ),
        )

    def open_it(service: ServiceProcess, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        context.add_init_script(WATCH)
        page = context.new_page()
        watch(page, service)
        page.goto(service.url)
        expect(page.locator("#size-hint")).not_to_be_empty()
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert problems == []
