"""Run the demo on a stack that is up: photos, faults, and the wait for the alerts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.report.facts import Expected, Photo
from ddcolor_operations.report.names import CHANNELS, say
from ddcolor_operations.stack import RunningStack

from .client import ServiceClient
from .evidence import Seen
from .faults import PLAN, PlannedFault, Stage
from .judge import Incident, outstanding
from .observer import Observer
from .photos import Sample, restore, samples

_POLL_S = 0.2


class Screen(Protocol):
    """Where the run says what it does."""

    def doing(self, text: Text) -> None:
        """Show what is being done now."""

    def done(self, text: Text, *, good: bool = True) -> None:
        """Show what was done, and whether it went well."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to wait: for the alerts of one fault, and at the end for anything unexpected."""

    alerts_s: float = 90.0
    settle_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Performed:
    """What was done since ``since``, and what had arrived at the end."""

    since: datetime
    photos: tuple[Photo, ...]
    incidents: tuple[Incident, ...]
    seen: Seen


class Performance:
    """One run on a stack that is up; restored photos go to the folder ``results``."""

    def __init__(self, stack: RunningStack, results: Path, screen: Screen, pace: Pace) -> None:
        config = stack.config
        results.mkdir(parents=True, exist_ok=True)
        self._since = datetime.now(UTC)
        self._client = ServiceClient(config.url("service"), config.admin_token)
        self._observer = Observer(config.url("notifier"), config.url("receivers"), self._since)
        self._samples = samples(per_scenario=2)
        self._stage = Stage(self._client, stack, self._samples[0], results)
        self._results = results
        self._screen = screen
        self._pace = pace

    def run(self, plan: Sequence[PlannedFault] = PLAN) -> Performed:
        """Restore the photos, then cause each fault of ``plan`` and a good photo after it.

        Raises DemoError when the run cannot go on. Alerts that do not come are no reason to stop:
        the judge will say so.
        """
        photos = tuple(self._restore(sample) for sample in self._samples)
        incidents = []
        for index, fault in enumerate(plan):
            good_photo = self._samples[index % len(self._samples)]
            incidents.append(self._recover(self._cause(fault), good_photo))
            self._await_alerts(incidents[-1])
        self._screen.doing(
            Text("再等片刻，确认没有多余的告警", "Waiting a little for anything unexpected")
        )
        time.sleep(self._pace.settle_s)
        return Performed(self._since, photos, tuple(incidents), self._observer.look())

    def _restore(self, sample: Sample) -> Photo:
        name = sample.file.name
        self._screen.doing(Text(f"修复照片 {name}", f"Restoring {name}"))
        photo = restore(self._client, sample, self._results)
        self._screen.done(
            Text(
                f"已修复 {name}，{photo.seconds:.1f} 秒",
                f"Restored {name} in {photo.seconds:.1f} s",
            )
        )
        return photo

    def _cause(self, fault: PlannedFault) -> Incident:
        how = fault.how
        self._screen.doing(Text(f"制造故障：{how.zh}", f"Causing a fault: {how.en}"))
        caused = fault.cause(self._stage)
        return Incident(
            name=fault.name,
            title=fault.title,
            how=how,
            expected=fault.expected,
            caused_at=caused.caused_at,
            over_at=caused.over_at,
            trace_id=caused.trace_id,
            from_cause=fault.from_cause,
        )

    def _await_alerts(self, incident: Incident) -> None:
        deadline = time.monotonic() + self._pace.alerts_s
        waiting = outstanding(incident, self._observer.look())
        while waiting and time.monotonic() < deadline:
            self._screen.doing(_waiting_for(incident, waiting))
            time.sleep(_POLL_S)
            waiting = outstanding(incident, self._observer.look())
        title = incident.title
        if waiting:
            self._screen.done(_waiting_for(incident, waiting), good=False)
        else:
            self._screen.done(
                Text(f"{title.zh}：告警已全部送达", f"{title.en}: every alert arrived")
            )

    def _recover(self, incident: Incident, sample: Sample) -> Incident:
        """Restore a good photo: it proves recovery, and ends a row of failures."""
        title = incident.title
        self._screen.doing(Text(f"{title.zh}：再修复一张照片", f"{title.en}: one good photo again"))
        restore(self._client, sample, self._results / "recovery")
        seconds = (datetime.now(UTC) - incident.over_at).total_seconds()
        return replace(incident, recovered_s=seconds)


def _waiting_for(incident: Incident, waiting: Sequence[tuple[Expected, str]]) -> Text:
    def names(language: str) -> str:
        return ", ".join(
            f"{expected.kind} L{expected.level} → {say(CHANNELS, channel, language)}"
            for expected, channel in waiting
        )

    return Text(
        f"{incident.title.zh}：等待 {names('zh')}",
        f"{incident.title.en}: waiting for {names('en')}",
    )
