"""Steps on the upload page that several tests take."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

OpenPage = Callable[..., Page]
"""Opens the page of a service, with Playwright's context options."""

SLOW_MS = 60_000  # a photo takes a second alone, more beside other tests


def photo(folder: Path, name: str = "外婆.png", width: int = 96, height: int = 72) -> Path:
    """Write a grey photo of a gradient with something in it; return its path."""
    grey = np.linspace(30, 220, width * height).reshape(height, width)
    grey[height // 4 : height // 2, width // 4 : width // 2] = 128
    path = folder / name
    Image.fromarray(grey.astype(np.uint8)).save(path)
    return path


def hand_in(page: Page, *paths: Path) -> None:
    page.locator("#files").set_input_files(paths)
    expect(page.locator("#chosen li")).to_have_count(len(paths))
    page.locator("#start").click()


def job(page: Page, stage: str) -> Locator:
    return page.locator(f".job[data-stage={stage}]")


def wait_until_done(page: Page, count: int = 1) -> None:
    expect(job(page, "done")).to_have_count(count, timeout=SLOW_MS)
    page.wait_for_function(
        "count => document.querySelectorAll('.compare.ready').length === count", arg=count
    )


def downloaded(page: Page) -> Image.Image:
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("下载")).click()
    return Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
