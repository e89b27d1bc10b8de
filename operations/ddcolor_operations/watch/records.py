"""From lines of log files to the documents that the collectors make of them in Elasticsearch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from comfyui_telemetry import semconv
from comfyui_telemetry.comfyui.story import TextStory
from comfyui_telemetry.observing import observer
from ddcolor_operations.rules.documents import Document, to_document

from .followed import Line

# As the agent maps and caps them.
_LEVELS = {"warn": "warning", "fatal": "critical"}
_KNOWN_LEVELS = frozenset({"trace", "debug", "info", "warning", "error", "critical"})
_TEXT_CHARS = 16_384
_MAX_DEPTH = 8
# A story that is never idle (the queue is never empty) is begun anew behind this much of it.
_CONTEXT_BYTES = 1024 * 1024


class Reader(Protocol):
    """Makes documents of the lines of one file."""

    def documents(self, line: Line) -> Iterator[Document]:
        """Yield the documents that are known with this line."""


class JsonLines:
    """Each line is one record in JSON; one that is not is a record with the line as its text."""

    def documents(self, line: Line) -> Iterator[Document]:
        """Yield the line's document; an empty line has none."""
        line.file.context = line.file.offset
        if line.offset < line.file.told_from or not line.data.strip():
            return
        try:
            found = orjson.loads(line.data)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, dict) and "message" in found:
            record = dict(_flat(found))
        else:
            record = {
                "message": line.data.decode("utf-8", "replace"),
                semconv.LOG_MALFORMED: True,
                semconv.LOG_FILE_NAME: line.file.path.name,
            }
        uid = record.get(semconv.LOG_RECORD_UID)
        yield document_of(record, str(uid) if uid else _place(line))


class TextLines:
    """The lines are ComfyUI's own; records are told of what they say.

    Their ids come from the places of the lines, so a second reading makes the same ones again.
    """

    def __init__(self, service_name: str) -> None:
        self._told: list[bytes] = []
        self._telemetry = observer(service_name, self._told.append)
        self._story = TextStory(self._telemetry, self._new_id)
        self._line: Line | None = None
        self._prompts = 0

    def documents(self, line: Line) -> Iterator[Document]:
        """Yield the documents of what is known with this line."""
        self._line, self._prompts = line, 0
        self._story.feed(line.data.decode("utf-8", "replace"))
        file = line.file
        if self._story.is_idle or file.offset - file.context > _CONTEXT_BYTES:
            file.context = file.offset
        told = self._told.copy()
        self._told.clear()
        if line.offset < file.told_from:
            return
        for number, text in enumerate(told):
            record = orjson.loads(text)
            # Nobody exports the spans that these would lead to.
            record.pop("trace_id", None)
            record.pop("span_id", None)
            record[semconv.LOG_RECORD_UID] = _own_id(line, f"record {number}")
            yield document_of(record, record[semconv.LOG_RECORD_UID])

    def close(self) -> None:
        """End the telemetry behind the story."""
        self._telemetry.shutdown()

    def _new_id(self) -> str:
        self._prompts += 1
        assert self._line is not None  # noqa: S101 - the story asks while it is fed
        return f"log-{_own_id(self._line, f'prompt {self._prompts}')}"


class Records:
    """Chooses the reader of each file by its name and first line, unless the form is given.

    ``form`` is ``auto``, ``json`` or ``comfyui``; ``service_name`` names the service of ComfyUI's
    own lines, which do not say it.
    """

    def __init__(self, form: str = "auto", service_name: str = "comfyui") -> None:
        self._form = form
        self._service_name = service_name
        self._readers: dict[str, Reader] = {}
        self._json = JsonLines()

    def documents(self, line: Line) -> Iterator[Document]:
        """Yield the documents that are known with this line."""
        reader = self._readers.get(line.file.generation)
        if reader is None:
            reader = self._readers[line.file.generation] = self._choose(line)
        yield from reader.documents(line)

    def keep(self, generations: set[str]) -> None:
        """Let the readers of all other contents go."""
        for generation in self._readers.keys() - generations:
            reader = self._readers.pop(generation)
            if isinstance(reader, TextLines):
                reader.close()

    def close(self) -> None:
        """Let all readers go."""
        self.keep(set())

    def _choose(self, line: Line) -> Reader:
        is_json = ".jsonl" in line.file.base.name or line.data.lstrip().startswith(b"{")
        if self._form == "json" or (self._form == "auto" and is_json):
            return self._json
        return TextLines(self._service_name)


def document_of(record: Mapping[str, Any], document_id: str) -> Document:
    """Return the document of a record with flat names, whatever is wrong with it.

    It counts as taken at its own time, or now if that is later or missing: a rule's timeframe is
    then the same when lines are read again, or late.
    """
    now = datetime.now(UTC)
    happened = _time(record.get("@timestamp")) or now
    level = str(record.get("log.level", "info")).lower()
    level = _LEVELS.get(level, level)
    message = record["message"]
    if not isinstance(message, str):
        message = orjson.dumps(message).decode()
    usable = {
        **record,
        "@timestamp": happened.isoformat(),
        "log.level": level if level in _KNOWN_LEVELS else "info",
        "message": message[:_TEXT_CHARS],
    }
    return {**to_document(usable, min(happened, now)), "_id": document_id}


def _flat(found: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        if isinstance(value, dict) and depth < _MAX_DEPTH and prefix + name != "message":
            yield from _flat(value, f"{prefix}{name}.", depth + 1)
        elif name.strip():
            yield prefix + name, value[:_TEXT_CHARS] if isinstance(value, str) else value


def _time(value: object) -> datetime | None:
    """Return the time that a record says; None if it says none, or none with a zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _place(line: Line) -> str:
    """Return the id that the agent makes for a line without one: of its file, place and text."""
    text = line.data.decode("utf-8", "replace")
    return hashlib.sha256(f"{line.file.path.name} {line.offset} {text}".encode()).hexdigest()


def _own_id(line: Line, what: str) -> str:
    """Return an id for ``what`` was made of a line, the same whenever it is read again."""
    return hashlib.sha256(f"{line.file.generation} {line.offset} {what}".encode()).hexdigest()[:32]
