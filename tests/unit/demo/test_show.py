"""What the demo prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.demo.show import Display
from tests.support import runs


def printed(language: str, folder: Path, *, lost: bool = False, width: int = 130) -> str:
    """Return everything that is printed about a run."""
    run = runs.run(folder)
    if lost:
        broken = runs.fault("lost", ("decode_failed", 2), arrived=False)
        run = runs.run(folder, faults=(broken,))
    stream = io.StringIO()
    display = Display(Console(file=stream, width=width, force_terminal=False), language)
    display.photos(run)
    display.faults(run)
    display.messages(run)
    display.trace(runs.evidence().traces[0])
    display.documents(run)
    display.verdict(run, folder / "report.html", folder / "log")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", ("故障与告警", "企业微信", "另合并 2 条相同告警", "没有多余的消息")),
        ("en", ("Faults and alerts", "WeCom", "2 of the same held back", "nothing unexpected")),
    ],
)
def test_a_run_is_told_in_one_language(
    tmp_path: Path, language: str, words: tuple[str, ...]
) -> None:
    """Tables, messages, waterfall and verdict are in the language that was asked for."""
    text = printed(language, tmp_path)

    for word in words:
        assert word in text
    assert "node DDColor_Colorize" in text
    assert runs.TRACE_ID in text
    assert "1,203" in text


def test_what_is_missing_is_listed_with_the_logs(tmp_path: Path) -> None:
    """A failed run ends with what did not arrive and the folder of the logs."""
    text = " ".join(printed("en", tmp_path, lost=True).split())

    assert "Alerts did not go as expected" in text
    assert "lost: nothing arrived" in text
    assert "Logs of the parts" in text


def test_a_message_is_not_taken_for_markup() -> None:
    """Square brackets of a message are shown as they are."""
    stream = io.StringIO()
    display = Display(Console(file=stream, width=80), "en")
    display.done(Text("[red]x[/]", "[red]x[/] [bold"))

    assert "[red]x[/] [bold" in stream.getvalue()


def test_a_narrow_terminal_breaks_no_number_from_its_channel(tmp_path: Path) -> None:
    """At 80 columns a channel and its seconds stay together, and names of spans stay whole."""
    text = printed("en", tmp_path, width=80)

    assert max(map(len, text.splitlines())) <= 80
    assert text.count("WeCom 2.4 s  DingTalk 2.7 s") == 6
    assert "node DDColor_Colorize " in text
    assert "out_of_memory" in text


def test_a_narrow_terminal_cuts_no_title(tmp_path: Path) -> None:
    """Chinese has no spaces to break at: a title goes on in the next line all the same."""
    stream = io.StringIO()
    Display(Console(file=stream, width=60), "zh").faults(runs.run(tmp_path))

    assert "…" not in stream.getvalue()
