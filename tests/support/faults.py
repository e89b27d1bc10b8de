"""Faults whose alerts are known beforehand, to be counted at the other end of the chain."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from comfyui_telemetry import semconv
from ddcolor_operations.receivers import Received
from tests.support.elastic import log_line

RULE = "keyword_out_of_memory"
_REFERENCE = re.compile("编号 ([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Fault:
    """The ``number``-th fault of a ``series``; two with the same name are one record, sent twice.

    Each is of a service of its own, because the same fault of one service is held back.
    """

    series: str
    number: int

    @property
    def uid(self) -> str:
        """Return the uid of the fault's record."""
        return hashlib.sha256(f"{self.series} {self.number}".encode()).hexdigest()[:26].upper()

    @property
    def alert_id(self) -> str:
        """Return the id that its alert must have, whoever raises it and however often."""
        return hashlib.sha256(f"{RULE}|{self.uid}".encode()).hexdigest()[:32]

    @property
    def reference(self) -> str:
        """Return what stands for the alert's id in a message."""
        return self.alert_id[:8]

    def line(self) -> dict[str, Any]:
        """Return its log line, as if it happened now."""
        return log_line(
            "Out of memory: node DDColor_Colorize (2)",
            **{
                "log.level": "error",
                semconv.EVENT_NAME: semconv.EVENT_NODE_FINISHED,
                semconv.NODE_CLASS_TYPE: "DDColor_Colorize",
                semconv.NODE_ID: "2",
                semconv.ERROR_KIND: "out_of_memory",
                semconv.ERROR_LEVEL: 2,
                semconv.SERVICE_NAME: f"{self.series}-{self.number}",
                semconv.LOG_RECORD_UID: self.uid,
            },
        )


def references(message: Received) -> set[str]:
    """Return the references that a Chinese message names as its own."""
    return set(_REFERENCE.findall(message.text))


def copies(messages: Iterable[Received], faults: Iterable[Fault]) -> Counter[str]:
    """Return how many messages each of the faults has, by reference; others are left out."""
    wanted = {fault.reference for fault in faults}
    return Counter(ref for message in messages for ref in references(message) & wanted)
