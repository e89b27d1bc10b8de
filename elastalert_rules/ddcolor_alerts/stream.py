"""Runs the rules on documents as they come, without Elasticsearch: JSON lines in, JSON lines out.

A long-lived worker in ElastAlert2's environment, for a process that follows log files::

    PYTHONPATH=elastalert_rules python -m ddcolor_alerts.stream --state FILE [--rules FOLDER]

It reads rule files, and keeps what they know in the SQLite file ``--state``; it connects to nothing
and reads nothing else. One process can have the state at a time.

Lines in (each one JSON object; times are RFC 3339 with a zone):

``{"document": {...}, "at": "2026-01-05T08:00:00Z", "position": ANY}``
    One log record in the shape that it has in Elasticsearch (``to_document`` of
    ``ddcolor_operations.rules.documents`` makes it of a log line), read at ``at``, which must be
    its ``event.ingested`` too. Its ``_id`` is the record's uid; of a line without one, what the
    agent makes: the SHA-256 of ``"FILE_NAME OFFSET LINE"`` in hex. ``index`` beside the document
    names its stream (default ``logs-ddcolor.otel-default``): rules of other streams do not see it.
    ``position`` is yours: what you need to go on reading behind this document.
``{"tick": "2026-01-05T08:00:01Z"}``
    It is so late, and everything that was written before has been sent. Send one a second, also
    while nothing is written, but none while you are still reading a backlog: rules on silence go
    by it, rule files are looked at, and what is old is forgotten. ``position`` may stand here too.
``{"taken": ["ALERT_ID", ...]}``
    The notifier has answered 202 (or 400, 413) for these; they are not given out again.

Lines out:

``{"ready": {"rules": [...], "refused": {FILE: TEXT}, "position": ANY}}``
    The first line. Go on reading at ``position`` (null at the first start): documents that it lies
    behind are in the state. Then come the alerts that were not taken before the last process ended.
``{"alert": {...}}``
    Post it to the notifier's ``/alerts`` until it is taken. It has the same ``alert_id`` as the one
    that ElastAlert2 makes of the same record.
``{"heartbeat": {"path": "watcher", "service": ..., "occurred_at": ...}}``
    Post it to ``/heartbeats`` once; drop it if the notifier is away.
``{"done": ANY}``
    Everything up to this ``position``, with the alerts above, is on disk.
``{"rules": {"loaded": [...], "removed": [...], "refused": {FILE: TEXT}}}``
    A rule file was saved. A refused one is not used; what it was before runs on.
``{"problem": "TEXT"}``
    A line in, or a document for a rule, was of no use; it is left out and the rest goes on.

Lines that wait together are one transaction, so a backlog is quick. A document whose ``_id`` came
before is left out. Killed at any moment, the worker goes on where ``done`` says, with windows as
full as they were, and gives no alert a second id. At the end of its input, and at SIGTERM, it ends
with status 0; with a state or folder that is of no use at once, with status 2 and a sentence on
stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from elastalert.util import EAException

from ddcolor_alerts.engine import Found
from ddcolor_alerts.rulebook import Rulebook
from ddcolor_alerts.store import Store, StoreError

INDEX = "logs-ddcolor.otel-default"
PATH = "watcher"

_CHUNK = 1 << 20
_FORGET_EVERY_S = 60.0


class LineError(ValueError):
    """A line is no message of the protocol; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line in. ``index`` is that of the document, "" if there is none."""

    at: datetime | None
    index: str
    document: dict[str, Any]
    taken: list[str]
    position: Any


class Worker:
    """Turns messages into answers, batch by batch."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._rules = Rulebook(folder, store)
        self._now = datetime.now(UTC)
        self._forget_at = 0.0

    def begin(self) -> Iterator[dict[str, Any]]:
        """Load the rules; yield what to say first."""
        changes = self._rules.reload(self._now)
        yield {
            "ready": {
                "rules": self._rules.names,
                "refused": changes.refused,
                "position": self._store.position(),
            }
        }
        for alert in self._store.waiting_alerts():
            yield {"alert": alert}

    def work(self, lines: list[bytes]) -> Iterator[dict[str, Any]]:
        """Take lines that came together as one transaction; yield what to answer."""
        answers: list[dict[str, Any]] = []
        messages: list[Message] = []
        for line in lines:
            try:
                messages.append(parse(line))
            except LineError as error:
                answers.append({"problem": str(error)})
        for index, group in groupby(messages, key=lambda message: message.index):
            if index:
                answers += self._documents(index, list(group))
            else:
                for message in group:
                    answers += self._other(message)
        position = next((m.position for m in reversed(messages) if m.position is not None), None)
        if position is not None:
            self._store.set_position(position)
        self._rules.save(self._now)
        yield from answers
        if position is not None:
            yield {"done": position}

    def _documents(self, index: str, messages: list[Message]) -> Iterator[dict[str, Any]]:
        self._now = max(self._now, *(message.at for message in messages if message.at))
        documents = [message.document for message in messages]
        yield from _told(self._rules.take(index, documents, self._now))

    def _other(self, message: Message) -> Iterator[dict[str, Any]]:
        for alert_id in message.taken:
            self._store.alert_taken(alert_id)
        if message.at is None:
            return
        self._now = max(self._now, message.at)
        if changes := self._rules.reload(self._now):
            yield {
                "rules": {
                    "loaded": changes.loaded,
                    "removed": changes.removed,
                    "refused": changes.refused,
                }
            }
        yield from _told(self._rules.tick(self._now))
        if self._now.timestamp() >= self._forget_at:
            self._store.forget_old(self._now.timestamp())
            self._forget_at = self._now.timestamp() + _FORGET_EVERY_S


def parse(line: bytes) -> Message:
    """Read one line in; raises LineError."""
    try:
        message = json.loads(line)
    except ValueError as error:
        raise LineError(f"a line is no JSON ({error}): send one object a line") from error
    if not isinstance(message, dict) or not {"document", "tick", "taken"} & set(message):
        raise LineError("a line holds no document, no tick and no taken: send one of them")
    document, taken = message.get("document"), message.get("taken", [])
    if document is not None and (not isinstance(document, dict) or not document.get("_id")):
        raise LineError("a document is no object with an _id: send the record's uid as its _id")
    if not isinstance(taken, list):
        raise LineError("taken: send a list of alert ids")
    return Message(
        at=None if document is None and "tick" not in message else _time(message),
        index="" if document is None else str(message.get("index", INDEX)),
        document=document or {},
        taken=[str(alert_id) for alert_id in taken],
        position=message.get("position"),
    )


def _time(message: dict[str, Any]) -> datetime:
    text = str(message.get("at", message.get("tick")))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise LineError(f"{text[:40]!r} is no time with a zone: send RFC 3339")
    return moment


def _told(found: Found) -> Iterator[dict[str, Any]]:
    for alert in found.alerts:
        yield {"alert": alert}
    for heartbeat in found.heartbeats:
        yield {"heartbeat": {**heartbeat, "path": PATH}}
    for problem in found.problems:
        yield {"problem": problem}


def _batches(source: int) -> Iterator[list[bytes]]:
    """Yield the lines that are there, as soon as there are any."""
    rest = b""
    while chunk := os.read(source, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield [line for line in lines if line.strip()]


def _say(answers: Iterator[dict[str, Any]], target: BinaryIO) -> None:
    for answer in answers:
        target.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
    target.flush()


def main(argv: list[str] | None = None) -> int:
    """Answer until the input ends; return the exit status."""
    parser = argparse.ArgumentParser(prog="ddcolor_alerts.stream", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--state", type=Path, required=True, help="SQLite file of what rules know")
    rules = Path(__file__).resolve().parents[1] / "rules"
    parser.add_argument("--rules", type=Path, default=rules, help="folder of rule files")
    options = parser.parse_args(argv)
    # Whoever started us is told of Ctrl-C as well, and closes our input when it is ready to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is not committed is sent again after the next start.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        worker = Worker(Store(options.state), options.rules)
        _say(worker.begin(), sys.stdout.buffer)
        for lines in _batches(sys.stdin.fileno()):
            _say(worker.work(lines), sys.stdout.buffer)
    except (StoreError, EAException) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except BrokenPipeError:
        # Nobody listens any more; keep the interpreter from complaining of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
