"""Lines of log files, and the documents that the rules see."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyui_telemetry import semconv
from ddcolor_operations.rules.documents import Document, to_document
from ddcolor_operations.watch.follower import Follower
from ddcolor_operations.watch.mark import Mark
from ddcolor_operations.watch.records import Records, document_of
from ddcolor_operations.watch.sources import Sources

RECORD = {
    "@timestamp": "2026-01-31T08:30:00.000045Z",
    "log.level": "error",
    "message": "Out of memory: node DDColor_Colorize (2)",
    semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
    semconv.SERVICE_NAME: "ddcolor-service",
    semconv.LOG_RECORD_UID: "01JD3Z7K0V8Q6T1B9M4X2C5N7P",
    semconv.ERROR_KIND: "out_of_memory",
    semconv.ERROR_LEVEL: 2,
    "trace_id": "ab" * 16,
}
FAILED = """got prompt
!!! Exception during processing !!! CUDA out of memory
Traceback (most recent call last):
  File "/srv/comfy/execution.py", line 1, in execute
torch.OutOfMemoryError: CUDA out of memory
Prompt executed in 0.11 seconds
"""


class Reading:
    """Reads a log file; a second one goes on where the first one's marks say."""

    def __init__(self, log: Path, form: str = "auto", marks: list[Mark] | None = None) -> None:
        self.follower = Follower(Sources([str(log)]), lambda *_: None)
        self.records = Records(form, "comfyui-2")
        if marks is None:
            self.follower.begin(from_start=True)
        else:
            self.follower.resume(marks)

    def documents(self) -> list[Document]:
        """Return what the new lines make."""
        return [found for line in self.follower.read() for found in self.records.documents(line)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Name a log file whose name says nothing of its form."""
    return tmp_path / "a.log"


def documents(log: Path, text: str, form: str = "auto") -> list[Document]:
    """Return the documents of a text."""
    log.write_text(text, encoding="utf-8")
    reading = Reading(log, form)
    found = reading.documents()
    reading.records.close()
    return found


def test_a_record_is_the_document_that_the_collectors_make(log: Path) -> None:
    """The uid is the document's id; it counts as taken at its own time."""
    (found,) = documents(log, json.dumps(RECORD) + "\n")
    own = datetime(2026, 1, 31, 8, 30, 0, 45, tzinfo=UTC)

    assert found == {**to_document(RECORD, own), "_id": RECORD[semconv.LOG_RECORD_UID]}


def test_a_line_that_is_no_record_has_the_id_that_the_agent_makes(tmp_path: Path) -> None:
    """So a rule that finds it makes the same alert of it on both ways."""
    log = tmp_path / "service.jsonl"
    first, second = documents(log, "Fatal Python error: 段错误\n[1, 2]\n")
    text = "Fatal Python error: 段错误"

    assert first["body"]["text"] == text
    assert first["_id"] == hashlib.sha256(f"service.jsonl 0 {text}".encode()).hexdigest()
    assert first["attributes"] == {
        semconv.LOG_MALFORMED: True,
        semconv.LOG_FILE_NAME: "service.jsonl",
    }
    assert second["body"]["text"] == "[1, 2]"


def test_nested_attributes_are_flat(log: Path) -> None:
    """A logger of somebody else's may nest what ours writes with dots."""
    (found,) = documents(log, '{"message": "m", "comfyui": {"error": {"kind": "x"}, "a": [1]}}\n')

    assert found["attributes"] == {"comfyui.error.kind": "x", "comfyui.a": [1]}


@pytest.mark.parametrize(
    ("level", "shown"), [("WARN", "warning"), ("fatal", "critical"), ("loud", "info"), (3, "info")]
)
def test_levels_are_those_of_the_agent(level: object, shown: str) -> None:
    """Other loggers' names of levels are understood; what is none is info."""
    assert document_of({"message": "m", "log.level": level}, "x")["severity_text"] == shown


@pytest.mark.parametrize("moment", [None, 7, "yesterday", "2026-01-31T08:30:00", "9999-99-99"])
def test_a_record_without_a_time_happened_now(moment: object) -> None:
    """A time that is none, or has no zone, is the time of the reading."""
    before = datetime.now(UTC)
    found = document_of({"message": "m", "@timestamp": moment}, "x")

    assert before <= datetime.fromisoformat(found["event"]["ingested"]) <= datetime.now(UTC)


def test_a_record_of_the_future_is_taken_now() -> None:
    """A clock that is ahead must not move a rule's window ahead of all others."""
    future = datetime.now(UTC) + timedelta(days=1)
    found = document_of({"message": "m", "@timestamp": future.isoformat()}, "x")

    assert datetime.fromisoformat(found["event"]["ingested"]) < future
    assert float(found["@timestamp"]) / 1000 == pytest.approx(future.timestamp())


@given(
    st.dictionaries(
        st.sampled_from(["@timestamp", "log.level", "message", "trace_id", "a.b", ""]),
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=30),
    )
)
def test_any_record_makes_a_document(record: dict[str, object]) -> None:
    """Whatever the values are, the rules get a document with text, level and times."""
    found = document_of({"message": "", **record}, "x")

    assert isinstance(found["body"]["text"], str)
    assert found["severity_number"] > 0
    assert datetime.fromisoformat(found["event"]["ingested"]).tzinfo is not None


def test_comfyuis_lines_make_records_of_the_named_service(log: Path) -> None:
    """The failure is one record with its kind; no trace is told of, for there is none."""
    found = documents(log, FAILED)
    (fault,) = [item for item in found if semconv.ERROR_KIND in item["attributes"]]

    assert fault["attributes"][semconv.ERROR_KIND] == "out_of_memory"
    assert fault["resource"]["attributes"][semconv.SERVICE_NAME] == "comfyui-2"
    assert fault["attributes"][semconv.LOG_RECORD_UID] == fault["_id"]
    assert not [item for item in found if "trace_id" in item]


@pytest.fixture
def failed_twice(log: Path) -> list[str]:
    """Return the ids of a file with the same failure twice, read in one go."""
    return [item["_id"] for item in documents(log, FAILED * 2)]


def test_the_same_lines_again_are_another_failure(failed_twice: list[str]) -> None:
    """Two failures with the same words are two."""
    assert len(set(failed_twice)) == len(failed_twice)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_restart_within_a_story_tells_it_the_same(log: Path, cut: int) -> None:
    """Whatever line a process dies behind, the next one makes the records that were to come."""
    lines = (FAILED * 2).splitlines(keepends=True)
    log.write_text("".join(lines[:cut]))
    first = Reading(log)
    before = first.documents()
    marks = [Mark.from_json(mark.to_json()) for mark in first.follower.marks()]
    with log.open("a") as stream:
        stream.writelines(lines[cut:])
    whole = [*before, *first.documents()]

    second = Reading(log, marks=marks)
    after = second.documents()

    assert [item["_id"] for item in [*before, *after]] == [item["_id"] for item in whole]
    prompts = [
        [item["attributes"].get(semconv.PROMPT_ID) for item in found]
        for found in (
            [*before, *after],
            whole,
        )
    ]
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize(
    ("name", "first", "form", "is_json"),
    [
        ("a.log", '{"message": "m"}', "auto", True),
        ("a.log", "got prompt", "auto", False),
        ("a.jsonl", "got prompt", "auto", True),
        ("a.jsonl", '{"message": "m"}', "comfyui", False),
        ("a.log", "got prompt", "json", True),
    ],
)
def test_the_form_is_known_by_name_and_first_line(
    tmp_path: Path, name: str, first: str, form: str, is_json: bool
) -> None:
    """A file of JSON lines is one even if its first line is broken; an option decides for good."""
    found = documents(tmp_path / name, f"{first}\n", form)

    assert bool(found) is is_json


def test_readers_of_contents_that_are_gone_are_let_go(log: Path) -> None:
    """ComfyUI writes a new log at each start: what read the old one must not pile up."""
    log.write_text(FAILED)
    reading = Reading(log)
    before = len(threading.enumerate())
    reading.documents()
    assert len(threading.enumerate()) > before
    reading.records.keep(reading.follower.generations())
    assert len(threading.enumerate()) > before
    reading.records.keep(set())

    assert len(threading.enumerate()) == before
