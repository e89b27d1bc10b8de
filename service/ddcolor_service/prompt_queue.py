"""The queue of prompts and their history."""

from __future__ import annotations

import copy
import heapq
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.graph import Prompt
from ddcolor_service.journal import Journal

MAX_ATTEMPTS = 2
MAX_HISTORY_BYTES = 64 << 20  # prompts come from strangers and may be large


@dataclass(slots=True)
class Job:
    """One accepted prompt. ``attempts`` counts how often a process began to run it."""

    number: float
    prompt_id: str
    prompt: Prompt
    extra_data: dict[str, Any]
    outputs: list[str]
    carrier: dict[str, str] = field(default_factory=dict)
    attempts: int = 0

    @property
    def client_id(self) -> str | None:
        """The WebSocket client that wants to hear of it."""
        client_id = self.extra_data.get("client_id")
        return client_id if isinstance(client_id, str) else None

    @property
    def shown_number(self) -> float:
        """The number as ComfyUI shows it: whole ones without a point."""
        return int(self.number) if float(self.number).is_integer() else self.number

    def as_list(self) -> list[Any]:
        """Return ComfyUI's five-element form."""
        return [self.shown_number, self.prompt_id, self.prompt, self.extra_data, self.outputs]

    def __lt__(self, other: Job) -> bool:
        return self.number < other.number


@dataclass(slots=True)
class Result:
    """How a prompt ended, in the shapes that ``/history`` shows."""

    outputs: dict[str, Any]
    meta: dict[str, Any]
    status_str: str
    completed: bool
    messages: list[tuple[str, dict[str, Any]]]


class PromptQueue:
    """Thread-safe. Smaller numbers run first, equal ones in the order they came."""

    def __init__(
        self,
        *,
        max_waiting: int,
        max_history: int,
        journal: Path | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._condition = threading.Condition()
        self._waiting: list[tuple[float, int, Job]] = []
        self._arriving: set[str] = set()
        self._running: Job | None = None
        self._history: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._max_waiting = max_waiting
        self._max_history = max_history
        self._journal = Journal(journal)
        self._changed = changed
        self._sequence = 0
        self._next_number = 0
        self._poked = False
        self._closed = False

    # --- giving ---------------------------------------------------------------------------------
    def put(self, job: Job) -> None:
        """Add a job: :meth:`reserve` and :meth:`admit` in one."""
        self.reserve(job)
        self.admit(job)

    def reserve(self, job: Job) -> None:
        """Make sure of a job's place, and have it on the disk; nobody can take it yet.

        Waits for the disk, so it is not for an event loop. Raises :class:`RequestRefusedError` when
        the queue is full or closed or the id is taken.
        """
        with self._condition:
            if self._closed:
                raise RequestRefusedError("The service is stopping; try again soon", status=503)
            if len(self._waiting) + len(self._arriving) >= self._max_waiting:
                raise RequestRefusedError("Too many prompts wait; try again later", status=429)
            if self._known(job.prompt_id):
                raise RequestRefusedError("A prompt of this id waits, runs or is in the history")
            self._arriving.add(job.prompt_id)
            self._journal.put(_row_of(job))
        # Without the lock: others are served while the disk writes.
        self._journal.sync()

    def admit(self, job: Job, accepted: Callable[[int], None] = lambda _: None) -> None:
        """Let a reserved job wait; ``accepted`` is told how many do before anybody can take it."""
        with self._condition:
            self._arriving.discard(job.prompt_id)
            self._push(job)
            accepted(len(self._waiting))
            self._condition.notify()
        self._changed()

    def number_for(self, *, front: bool, number: float | None) -> float:
        """Return the place of a new prompt as ComfyUI gives it."""
        with self._condition:
            if number is not None:
                return number
            given = self._next_number
            self._next_number += 1
            return -given if front else given

    def _known(self, prompt_id: str) -> bool:
        running = self._running is not None and self._running.prompt_id == prompt_id
        return (
            running
            or prompt_id in self._arriving
            or prompt_id in self._history
            or any(job.prompt_id == prompt_id for _, _, job in self._waiting)
        )

    def _push(self, job: Job) -> None:
        self._sequence += 1
        heapq.heappush(self._waiting, (job.number, self._sequence, job))

    # --- working --------------------------------------------------------------------------------
    def get(
        self, timeout_s: float | None = None, taken: Callable[[Job], None] = lambda _: None
    ) -> Job | None:
        """Take the next job; None when poked, closed or after ``timeout_s``.

        ``taken`` is told before anybody can see the job running.
        """
        with self._condition:
            self._condition.wait_for(
                lambda: self._waiting or self._closed or self._poked, timeout_s
            )
            self._poked = False
            if self._closed or not self._waiting:
                return None
            job = heapq.heappop(self._waiting)[2]
            job.attempts += 1
            taken(job)
            self._running = job
            self._journal.took(job.prompt_id)
        self._changed()
        return job

    def done(self, job: Job, result: Result, *, requeue: bool = False) -> None:
        """Move the running job into the history, or back to where it waited."""
        with self._condition:
            self._running = None
            if requeue:
                job.attempts -= 1  # it was stopped by us, not by a crash
                self._push(job)
                self._journal.gave_back(job.prompt_id)
            else:
                self._remember(job, result)
                self._journal.gone([job.prompt_id])
            self._condition.notify_all()
        self._changed()

    def remember_lost(self, job: Job, result: Result) -> None:
        """Put a job into the history that never ran to its end."""
        with self._condition:
            self._remember(job, result)

    def _remember(self, job: Job, result: Result) -> None:
        self._history[job.prompt_id] = {
            "prompt": job.as_list(),
            "outputs": result.outputs,
            "status": {
                "status_str": result.status_str,
                "completed": result.completed,
                "messages": [list(message) for message in result.messages],
            },
            "meta": result.meta,
        }
        self._sizes[job.prompt_id] = len(orjson.dumps(self._history[job.prompt_id], default=str))
        while (
            len(self._history) > self._max_history or sum(self._sizes.values()) > MAX_HISTORY_BYTES
        ):
            oldest, _ = self._history.popitem(last=False)
            del self._sizes[oldest]

    def poke(self) -> None:
        """Wake the worker although there is no job."""
        with self._condition:
            self._poked = True
            self._condition.notify_all()

    def close(self) -> None:
        """Take no more jobs and hand none out; those waiting stay in the journal."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """Say whether the queue takes no more jobs."""
        return self._closed

    # --- looking --------------------------------------------------------------------------------
    def snapshot(self) -> tuple[list[Job], list[Job]]:
        """Return (running, waiting in the order they will run)."""
        with self._condition:
            running = [self._running] if self._running else []
            return running, [job for _, _, job in sorted(self._waiting, key=lambda w: w[:2])]

    def remaining(self) -> int:
        """Return how many prompts wait or run."""
        with self._condition:
            return len(self._waiting) + (self._running is not None)

    def waiting(self) -> int:
        """Return how many prompts wait."""
        with self._condition:
            return len(self._waiting)

    def history(
        self, prompt_id: str | None = None, *, max_items: int | None = None, offset: int = -1
    ) -> dict[str, Any]:
        """Return finished prompts, oldest first: one, the latest ``max_items``, or all."""
        with self._condition:
            if prompt_id is not None:
                found = self._history.get(prompt_id)
                return {} if found is None else {prompt_id: copy.copy(found)}
            ids = list(self._history)
            if max_items is not None:
                start = max(0, len(ids) - max_items) if offset < 0 else offset
                ids = ids[start : start + max_items]
            return {key: self._history[key] for key in ids}

    # --- removing -------------------------------------------------------------------------------
    def delete(self, prompt_ids: list[str]) -> list[str]:
        """Remove waiting prompts; return the ids removed."""
        return self._remove(lambda job: job.prompt_id in set(prompt_ids))

    def clear(self) -> list[str]:
        """Remove all waiting prompts; return their ids."""
        return self._remove(lambda _: True)

    def _remove(self, chosen: Callable[[Job], bool]) -> list[str]:
        with self._condition:
            removed = [job.prompt_id for _, _, job in self._waiting if chosen(job)]
            self._waiting = [w for w in self._waiting if not chosen(w[2])]
            heapq.heapify(self._waiting)
            if removed:
                self._journal.gone(removed)
        if removed:
            self._changed()
        return removed

    def forget(self, prompt_ids: list[str] | None = None) -> None:
        """Remove prompts from the history; None removes all."""
        with self._condition:
            for prompt_id in list(self._history) if prompt_ids is None else prompt_ids:
                self._history.pop(prompt_id, None)
                self._sizes.pop(prompt_id, None)

    # --- after a restart ------------------------------------------------------------------------
    def restore(self) -> tuple[list[Job], list[Job]]:
        """Queue again what an earlier process left.

        Returns (queued again, given up). A prompt that was running when its process died may be
        the reason why it died, so it is tried :data:`MAX_ATTEMPTS` times in all.
        """
        with self._condition:
            jobs = [_job_of(row) for row in self._journal.read(_job_of)]
            lost = [job for job in jobs if job.attempts >= MAX_ATTEMPTS]
            kept = sorted(job for job in jobs if job.attempts < MAX_ATTEMPTS)
            if lost:
                self._journal.gone([job.prompt_id for job in lost])
            for job in kept:
                self._push(job)
            numbers = [int(abs(job.number)) for job in kept]
            self._next_number = max([self._next_number, *(n + 1 for n in numbers)])
            self._condition.notify()
        return kept, lost


def _row_of(job: Job) -> dict[str, Any]:
    return {
        "number": job.number,
        "prompt_id": job.prompt_id,
        "prompt": job.prompt,
        "extra_data": job.extra_data,
        "outputs": job.outputs,
        "carrier": job.carrier,
        "attempts": job.attempts,
    }


def _job_of(row: Mapping[str, Any]) -> Job:
    return Job(
        number=float(row["number"]),
        prompt_id=str(row["prompt_id"]),
        prompt=dict(row["prompt"]),
        extra_data=dict(row["extra_data"]),
        outputs=list(row["outputs"]),
        carrier=dict(row["carrier"]),
        attempts=int(row["attempts"]),
    )
