"""The HTML report."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.report.facts import Message
from ddcolor_operations.report.pictures import embed
from ddcolor_operations.report.render import render, write
from tests.support import runs


class _Page(HTMLParser):
    """Collects what a page loads and whether its elements close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.language = ""
        self.policy = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.sources += [str(values[name]) for name in ("src", "href", "srcset") if name in values]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(values["content"])
        if tag == "html":
            self.language = str(values["lang"])


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def test_the_report_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    """The one file is all that is needed, and a policy in it forbids any other."""
    html = render(runs.run(tmp_path), runs.evidence())
    page = _Page(html)

    assert page.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert page.policy.startswith("default-src 'none'; ")
    assert not re.search(r"@import|url\(", html[: html.index("</style>")])


def test_only_the_pages_own_scripts_run(tmp_path: Path) -> None:
    """The policy names the digest of each script that the page holds, and no other source."""
    html = render(runs.run(tmp_path), runs.evidence())
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    allowed = next(p for p in _Page(html).policy.split("; ") if p.startswith("script-src"))

    assert len(scripts) == 3
    assert allowed.split()[1:] == [f"'sha256-{digest}'" for digest in map(_digest, scripts)]


def test_the_language_shown_first_can_be_chosen(tmp_path: Path) -> None:
    """Chinese is the default, English a parameter; both are in the page."""
    run = runs.run(tmp_path)

    assert _Page(render(run, runs.evidence())).language == "zh"
    english = render(run, runs.evidence(), "en")
    assert _Page(english).language == "en"
    assert "显存或内存不足" in english
    assert "GPU or host memory ran out" in english


def test_every_fault_channel_and_number_stands_in_the_report(tmp_path: Path) -> None:
    """What the run found is what the page says."""
    run = runs.run(tmp_path)
    html = render(run, runs.evidence())

    for fault in run.faults:
        for expected in fault.expected:
            assert f"<code>{expected.kind}</code>" in html
    assert "1,203" in html
    assert "9.4.3" in html
    assert runs.TRACE_ID in html
    assert html.count('class="chip missing"') == 0
    assert "Every expected alert arrived" in html


def test_what_did_not_arrive_is_said_at_the_top(tmp_path: Path) -> None:
    """A missing alert is a sentence in the verdict and a mark in the table."""
    broken = runs.fault("lost", ("decode_failed", 2), arrived=False)
    html = render(runs.run(tmp_path, faults=(broken,)), runs.evidence())

    assert "lost: nothing arrived" in html
    assert html.count('class="chip missing"') == 2
    assert "Every expected alert arrived" not in html


def test_a_message_cannot_inject_markup(tmp_path: Path) -> None:
    """Text from outside is shown, never interpreted."""
    hostile = Message("wecom", "<script>alert(1)</script><img src=x>")
    run = dataclasses.replace(runs.run(tmp_path), messages=(hostile,))

    assert "<script>alert" not in render(run, runs.evidence())


def test_pictures_are_small_and_without_metadata(tmp_path: Path) -> None:
    """A large photo is embedded at 560 pixels with nothing of its camera."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    Image.effect_noise((2000, 1000), 40).save(tmp_path / "big.jpg", exif=exif)
    picture = embed(tmp_path / "big.jpg")

    assert (picture.width, picture.height) == (560, 280)
    assert "SecretCamera" not in picture.url
    assert len(picture.url) < 120_000


def test_a_picture_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A broken output is not shown as an empty frame."""
    (tmp_path / "broken.png").write_bytes(b"no picture")

    with pytest.raises(OSError, match=r"broken\.png"):
        embed(tmp_path / "broken.png")


def test_the_report_is_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    """Writing needs no preparation."""
    file = tmp_path / "new" / "report.html"
    write(file, runs.run(tmp_path), runs.evidence())

    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_an_embedded_run_says_what_did_not_run(tmp_path: Path) -> None:
    """Without Elasticsearch there is no empty section, but a word on what was left out."""
    run = dataclasses.replace(
        runs.run(tmp_path), documents={}, left_out=(Text("没有看板", "no dashboards"),)
    )
    html = render(run, dataclasses.replace(runs.evidence(), traces=[]))

    assert "What did not run" in html
    assert "no dashboards" in html
    for section in ("Traces</span>", "Documents per data stream", "in Elasticsearch"):
        assert section not in html
