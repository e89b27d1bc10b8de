"""One daemon thread that watches running nodes, beats the service's heart and reports losses."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from . import _losses
from ._losses import Losses

_IDLE_S = 1.0
_SHORTEST_S = 0.005
_DELAYED_S = 0.02
_DELAYED = 1_000


class Watched(Protocol):
    """A running node. Times are of ``time.monotonic``."""

    started: float
    next_beat: float
    slow_at: float
    slow_said: bool

    def beat(self, ran_s: float) -> None: ...

    def slow(self, ran_s: float) -> None: ...


class Delayed(Protocol):
    """Work that waits for something which only time brings."""

    def resolve(self, *, wait: bool = True) -> bool: ...


class Watch:
    """Run due work of all watched nodes and periodic chores on one thread.

    ``chores`` are called about once a second; they must not block. The thread starts with the first
    need for it and sleeps until the next thing is due.
    """

    def __init__(self, losses: Losses, heartbeat_s: float) -> None:
        self.losses = losses
        self._heartbeat_s = heartbeat_s
        self._chores: list[Callable[[], None]] = []
        self._running: dict[int, Watched] = {}
        self._delayed: deque[Delayed] = deque()
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stopping = False
        self._next_look = 0.0
        self._thread: threading.Thread | None = None

    def after_fork(self) -> None:
        """Nothing of the parent runs in the child; its own first node starts the thread.

        A forked helper (a data loader) is no service, so it must not beat like one.
        """
        self._running.clear()
        self._delayed.clear()
        self._reset()

    def every_second(self, chore: Callable[[], None]) -> None:
        """Add work that the thread does about once a second."""
        self._chores.append(chore)

    def start(self) -> None:
        """Start the thread if it does not run."""
        with self._lock:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(
                    target=self._run, name="telemetry-watch", daemon=True
                )
                self._thread.start()

    def add(self, node: Watched) -> None:
        """Watch ``node`` from now on."""
        self._running[id(node)] = node
        if self._thread is None:
            self.start()
        if min(node.next_beat, node.slow_at) < self._next_look:
            self._wake.set()

    def claim_slow(self, node: Watched) -> bool:
        """Say whether the caller is the first to call ``node`` slow: it is said once."""
        with self._lock:
            first, node.slow_said = not node.slow_said, True
            return first

    def remove(self, node: Watched) -> None:
        """Watch ``node`` no longer."""
        self._running.pop(id(node), None)

    def delay(self, work: Delayed) -> None:
        """Ask ``work`` again and again until it is done; of too much the oldest has to end."""
        self._delayed.append(work)
        if len(self._delayed) > _DELAYED:
            self._resolve(self._delayed.popleft(), wait=False)
        self._wake.set()

    def end_delayed(self) -> None:
        """End all work that waits, as far as it has come."""
        while self._delayed:
            try:
                work = self._delayed.popleft()
            except IndexError:
                return
            self._resolve(work, wait=False)

    def _ask_delayed(self) -> None:
        for _ in range(len(self._delayed)):
            try:
                work = self._delayed.popleft()
            except IndexError:
                return
            if not self._resolve(work, wait=True):
                self._delayed.append(work)

    def _resolve(self, work: Delayed, *, wait: bool) -> bool:
        try:
            return work.resolve(wait=wait)
        except Exception as error:  # noqa: BLE001 - whoever asks must live on
            self.losses.add(_losses.INTERNAL_ERROR, detail=f"watch: {error!r:.200}")
            return True

    def stop(self, timeout_s: float) -> None:
        """End the thread, waiting at most ``timeout_s`` seconds."""
        with self._lock:
            self._stopping = True
            thread, self._thread = self._thread, None
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            self._guard(self._look_after_nodes)
            self._ask_delayed()
            for chore in self._chores:
                self._guard(chore)
            self._sleep()

    def _sleep(self) -> None:
        now = time.monotonic()
        # Set before the nodes are read: one that is added meanwhile wakes the thread.
        self._next_look = now + _IDLE_S
        due = min(
            (min(node.next_beat, node.slow_at) for node in list(self._running.values())),
            default=self._next_look,
        )
        pause = max(_SHORTEST_S, min(due, self._next_look) - now)
        self._wake.wait(min(pause, _DELAYED_S) if self._delayed else pause)
        self._wake.clear()

    def _look_after_nodes(self) -> None:
        now = time.monotonic()
        for node in list(self._running.values()):
            if now >= node.slow_at:
                node.slow_at = float("inf")
                node.slow(now - node.started)
            if now >= node.next_beat:
                node.next_beat = now + self._heartbeat_s
                node.beat(now - node.started)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the thread must live on
            self.losses.add(_losses.INTERNAL_ERROR, detail=f"watch: {error!r:.200}")


class Periodic:
    """Call ``action`` at once, then at most once in ``interval_s`` seconds."""

    def __init__(self, interval_s: float, action: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._action = action
        self._due = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._interval_s
            self._action()
