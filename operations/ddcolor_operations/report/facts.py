"""What a run found out: the facts behind the JSON file, the table and the HTML report.

Times are aware datetimes in UTC, durations are seconds. Nothing here is computed for show: every
field was measured in the run or read from Elasticsearch, the notifier or a receiver.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from comfyui_telemetry.catalogue import Text

_LINK = re.compile(r"(https?://[^/\s()]+)/[^\s()]*")


@dataclass(frozen=True, slots=True)
class Photo:
    """One restored photo; ``seconds`` is from the prompt's POST to its entry in the history."""

    scenario: str
    input: Path
    output: Path
    seconds: float
    prompt_id: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that a fault must cause: its kind and level, and the channels that must carry it."""

    kind: str
    level: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert on one channel.

    ``delivered_at`` is the receiver's own clock (the notifier's for channel ``record``, which
    sends nothing). ``seconds``, ``indexed_s`` and ``accepted_s`` are counted from the fault; the
    latter two are when Elasticsearch had the record and when the notifier had the alert.
    """

    alert_id: str
    rule: str
    kind: str
    level: int
    channel: str
    delivered_at: datetime
    seconds: float
    indexed_s: float | None
    accepted_s: float


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was caused for real, and what came of it.

    ``held_back`` counts alerts of the same error that joined an open one and rightly sent nothing;
    ``recovered_s`` is from the fault's end to the next good photo, None if none was restored;
    ``problems`` says in plain words what was expected and did not come, or came unexpected.
    """

    name: str
    title: Text
    how: Text
    caused_at: datetime
    expected: tuple[Expected, ...]
    alerts: tuple[Delivery, ...]
    held_back: int
    trace_id: str | None
    recovered_s: float | None
    problems: tuple[Text, ...] = ()

    def delivery(self, expected: Expected, channel: str) -> Delivery | None:
        """Return what arrived of ``expected`` on ``channel``; None if nothing did."""
        wanted = (expected.kind, expected.level, channel)
        found = (a for a in self.alerts if (a.kind, a.level, a.channel) == wanted)
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a receiver got it."""

    channel: str
    text: str

    @property
    def shown(self) -> str:
        """The text with its links cut after the host: a reader here cannot follow them."""
        return _LINK.sub(r"\1/…", self.text)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything about one run of the demo.

    ``documents`` counts the documents of each data stream; ``versions`` names what ran, and
    ``left_out`` what did not and how to have it.
    """

    started_at: datetime
    ended_at: datetime
    stack_ready_s: float
    photos: tuple[Photo, ...]
    faults: tuple[Fault, ...]
    messages: tuple[Message, ...]
    documents: Mapping[str, int]
    versions: Mapping[str, str]
    problems: tuple[Text, ...] = ()
    left_out: tuple[Text, ...] = ()

    @property
    def all_problems(self) -> tuple[Text, ...]:
        """Everything that did not go as expected, in the order of the faults."""
        return (*(p for fault in self.faults for p in fault.problems), *self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values; the shape is documented in docs/demo.md."""
        return {
            "ok": not self.all_problems,
            "problems": [problem.en for problem in self.all_problems],
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
            "stack_ready_s": round(self.stack_ready_s, 3),
            "photos": [
                {
                    "scenario": photo.scenario,
                    "input": str(photo.input),
                    "output": str(photo.output),
                    "seconds": round(photo.seconds, 3),
                    "prompt_id": photo.prompt_id,
                    "trace_id": photo.trace_id,
                }
                for photo in self.photos
            ],
            "faults": [_fault_json(fault) for fault in self.faults],
            "documents": dict(self.documents),
            "versions": dict(self.versions),
            "left_out": [text.en for text in self.left_out],
        }


def _fault_json(fault: Fault) -> dict[str, Any]:
    return {
        "name": fault.name,
        "caused_at": _iso(fault.caused_at),
        "trace_id": fault.trace_id,
        "expected": [
            {"kind": item.kind, "level": item.level, "channels": list(item.channels)}
            for item in fault.expected
        ],
        "alerts": [
            {
                "kind": alert.kind,
                "level": alert.level,
                "rule": alert.rule,
                "channel": alert.channel,
                "delivered_at": _iso(alert.delivered_at),
                "seconds": round(alert.seconds, 3),
            }
            for alert in fault.alerts
        ],
        "held_back": fault.held_back,
        "recovered_s": None if fault.recovered_s is None else round(fault.recovered_s, 3),
        "problems": [problem.en for problem in fault.problems],
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
