"""What was read back after a run, wherever it was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ddcolor_operations.report.charts import Bucket, Durations
from ddcolor_operations.report.collect import FaultRecord
from ddcolor_operations.report.render import Trace


@dataclass(frozen=True, slots=True)
class Found:
    """Records of faults, traces by the name of what they show, figures, and document counts."""

    traces: Mapping[str, Trace]
    records: Sequence[FaultRecord]
    durations: Sequence[Durations]
    outcomes: Sequence[Bucket]
    documents: Mapping[str, int]
