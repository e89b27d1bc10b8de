"""ComfyUI's own log lines: all forms since 2023, and what becomes of them in the stream."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyui_telemetry import semconv
from comfyui_telemetry.comfyui.log_lines import LogLines
from comfyui_telemetry.comfyui.story import TextStory
from comfyui_telemetry.comfyui.textlog import (
    Executed,
    Failed,
    Got,
    Ignored,
    Interrupted,
    Rejected,
    Said,
    TextLogParser,
)
from comfyui_telemetry.observing import observer
from comfyui_telemetry.testing import Captured, check_declared

TRACE = """Traceback (most recent call last):
  File "/srv/comfy/execution.py", line 1, in execute
    run()
PIL.UnidentifiedImageError: cannot identify image file 'x.png'"""
CHAINED = """Traceback (most recent call last):
  File "/srv/comfy/nodes.py", line 7, in load
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/comfy/nodes.py", line 9, in load
    raise ValueError("no such entry")
ValueError: no such entry"""


def _parse(text: str) -> list[Said]:
    parser = TextLogParser()

    def said() -> Iterator[Said]:
        for line in text.splitlines():
            yield from parser.feed(line)
        yield from parser.close()

    return list(said())


@pytest.mark.parametrize(
    "first",
    [
        "!!! Exception during processing !!!",
        "!!! Exception during processing!!! cannot identify image file 'x.png'",
        "!!! Exception during processing !!! cannot identify image file 'x.png'",
    ],
)
def test_each_historic_form_of_a_failure_is_read(first: str) -> None:
    """Message and class are found, in the line or in the traceback's last line."""
    said = _parse(f"got prompt\n{first}\n{TRACE}\nPrompt executed in 0.11 seconds")
    message = "cannot identify image file 'x.png'"
    failed = Failed("PIL.UnidentifiedImageError", message, TRACE)
    assert said == [Got(), failed, Executed(0.11)]


def test_a_chained_traceback_names_the_last_error() -> None:
    """The exception that left the node is the one after "During handling of"."""
    said = _parse(f"!!! Exception during processing !!! no such entry\n{CHAINED}")
    assert said[-1] == Failed("ValueError", "no such entry", CHAINED)


def test_an_out_of_memory_is_one_failure() -> None:
    """The line that ComfyUI adds about it is no second one."""
    said = _parse(
        "!!! Exception during processing !!! Allocation on device\n"
        'Traceback (most recent call last):\n  File "n.py", line 1, in f\n'
        "torch.OutOfMemoryError: Allocation on device\n"
        "Got an OOM, unloading all loaded models.\nPrompt executed in 00:10:05"
    )
    assert [type(one) for one in said] == [Failed, Executed]
    assert said[1] == Executed(605.0)


def test_a_refusal_has_its_nodes() -> None:
    """The lines before it tell which nodes and why."""
    said = _parse(
        "got prompt\nFailed to validate prompt for output 9:\n* LoadImage 1:\n"
        "  - Custom validation failed for node: image - Invalid image file: nosuch.png\n"
        "Output will be ignored\ninvalid prompt: {'type': 'prompt_outputs_failed_validation', "
        "'message': 'Prompt outputs failed validation', 'details': '', 'extra_info': {}}"
    )
    rejected = said[1]
    assert isinstance(rejected, Rejected)
    assert rejected.error_type == "prompt_outputs_failed_validation"
    assert rejected.node_errors["1"]["class_type"] == "LoadImage"
    assert rejected.node_errors["1"]["dependent_outputs"] == ["9"]


def test_an_ignored_output_is_no_refusal() -> None:
    """Without "invalid prompt" after them the lines speak of one output only."""
    said = _parse(
        "got prompt\nFailed to validate prompt for output 9:\n* LoadImage 1:\n"
        "  - Required input is missing: image\nOutput will be ignored\n"
        "Processing interrupted\nPrompt executed in 3.00 seconds"
    )
    assert [type(one) for one in said] == [Got, Ignored, Interrupted, Executed]


@given(st.lists(st.sampled_from([*TRACE.splitlines(), "got prompt", "invalid prompt: {", "x", "",
    "!!! Exception during processing!!! y", "* A 1:", "  - b", "Prompt executed in 1.00 seconds",
    "Failed to validate prompt for output 1:"]), max_size=30))  # fmt: skip
def test_any_order_of_lines_is_read(lines: list[str]) -> None:
    """Nothing raises, and each prompt's end is said."""
    said = _parse("\n".join(lines))
    ends = sum(line.startswith("Prompt executed") for line in lines)
    assert sum(isinstance(one, Executed) for one in said) >= ends - _swallowed(lines)


def _swallowed(lines: list[str]) -> int:
    """Count ends that stand inside a traceback, whose lines may be anything."""
    return sum(line.startswith("Traceback") for line in lines)


# What stands before a message, and after it: until 0.32, on 0.33's console, and in its file.
FORMS = {
    "bare": ("", ""),
    "tag": ("[INFO] ", ""),
    "console": ("\x1b[1m\x1b[31m[ERROR]\x1b[0m ", ""),
    "coloured": ("\x1b[32m[INFO]\x1b[0m \x1b[32m", "\x1b[0m"),
    "file": ("[2026-08-22 09:17:36,042] [DETAIL] ", ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_story_of_a_log_is_that_of_the_hooks(captured: Captured, form: str) -> None:
    """Queued, finished with outcome and the keyword once; its durations are the log's."""
    story = TextStory(captured.telemetry)
    before, after = FORMS[form]
    messages = (
        *("got prompt", "!!! Exception during processing !!! x", TRACE),
        *("Prompt executed in 2.50 seconds", "got prompt", "Prompt executed in 0.50 seconds"),
        *("got prompt", "Processing interrupted", "Prompt executed in 1.00 seconds"),
    )
    lines = "\n".join(f"{before}{message}{after}" for message in messages)
    for line in lines.splitlines():
        story.feed(line)
    story.close()
    finished = captured.events(semconv.EVENT_PROMPT_FINISHED)
    assert [record[semconv.PROMPT_OUTCOME] for record in finished] == [
        "failed", "success", "interrupted",
    ]  # fmt: skip
    assert finished[0]["message"].startswith("Failed to decode image: ")
    assert finished[0][semconv.ERROR_KIND] == "decode_failed"
    assert [record[semconv.PROMPT_DURATION] for record in finished] == [2.5, 0.5, 1.0]
    queued = captured.events(semconv.EVENT_PROMPT_QUEUED)
    assert [r[semconv.PROMPT_ID] for r in queued] == [r[semconv.PROMPT_ID] for r in finished]
    assert check_declared(captured.records, captured.spans, captured.metrics()) == []


def test_a_refused_prompt_was_never_queued(captured: Captured) -> None:
    """One record: rejected, with the id that the story gave it."""
    story = TextStory(captured.telemetry)
    for line in ("got prompt", "invalid prompt: {'type': 'no_outputs', 'message': 'No'}"):
        story.feed(line)
    story.close()
    assert captured.events(semconv.EVENT_PROMPT_QUEUED) == []
    assert captured.record(semconv.EVENT_PROMPT_REJECTED)[semconv.ERROR_TYPE] == "no_outputs"


def test_lines_that_hooks_have_said_do_not_enter_the_stream(captured: Captured) -> None:
    """ComfyUI's lines are dropped, others and other loggers' are kept."""
    lines = LogLines(None)
    captured.telemetry.add_log_filter(lines)
    root = logging.getLogger()
    for text in (
        "!!! Exception during processing !!! CUDA out of memory",
        TRACE,
        "got prompt",
        "* a list item of somebody",
        TRACE,
    ):
        root.error(text)
    logging.getLogger("a.pack").error("got prompt")
    captured.telemetry.remove_log_filter(lines)
    root.error("got prompt")
    messages = [record["message"].splitlines()[0] for record in captured.records]
    assert messages == [
        "* a list item of somebody",
        "Traceback (most recent call last):",
        "got prompt",
        "got prompt",
    ]


def test_without_hooks_the_lines_are_the_story(captured: Captured) -> None:
    """They are taken from logging as they come."""
    lines = LogLines(TextStory(captured.telemetry))
    captured.telemetry.add_log_filter(lines)
    logging.getLogger().info("got prompt")
    logging.getLogger().info("Prompt executed in 0.20 seconds")
    captured.telemetry.remove_log_filter(lines)
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "success"


def test_a_story_is_idle_when_it_needs_no_earlier_line() -> None:
    """A story may begin anew after a line only if nothing is begun: then nothing is forgotten."""
    told: list[bytes] = []
    telemetry = observer("comfyui", told.append)
    names = iter(["first", "second"])
    story = TextStory(telemetry, lambda: next(names))
    lines = ["got prompt", "!!! Exception during processing !!! gone", *TRACE.splitlines()]

    idle = []
    for line in [*lines, "Prompt executed in 0.11 seconds", "got prompt"]:
        story.feed(line)
        idle.append(story.is_idle)
    telemetry.shutdown()

    assert idle == [False] * (len(lines)) + [True, False]
    assert {orjson.loads(line)[semconv.PROMPT_ID] for line in told} == {"first"}
