"""Prompts that were accepted and have not begun."""

from __future__ import annotations

import threading
from collections import OrderedDict

from opentelemetry.context import Context

# Nobody may tell that a prompt has left the queue; its entry must not stay for ever.
_QUEUED = 10_000


class QueuedPrompts:
    """Prompts that wait: their parent contexts and since when (nanoseconds since the epoch)."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, tuple[Context, int]] = OrderedDict()
        self._depth = 0
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Leave the parent's queue to the parent."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self._depth = 0

    def depth(self) -> int:
        """Return how many prompts wait, as far as was told."""
        return self._depth

    def oldest(self) -> int | None:
        """Return since when the prompt waits that has waited longest; None if none does."""
        with self._lock:
            return min((since for _, since in self._waiting.values()), default=None)

    def count(self, depth: int) -> None:
        """Take the depth of the queue that its server counted."""
        with self._lock:
            self._depth = depth

    def add(self, prompt_id: str, context: Context, since: int, depth: int) -> None:
        """Remember a prompt, and the depth of the queue that its server counted."""
        with self._lock:
            self._waiting[prompt_id] = (context, since)
            self._depth = depth
            if len(self._waiting) > _QUEUED:
                self._waiting.popitem(last=False)

    def take(self, prompt_id: str) -> tuple[Context, int] | None:
        """Return and forget what is known of a prompt that leaves the queue."""
        with self._lock:
            found = self._waiting.pop(prompt_id, None)
            if found is not None:
                self._depth = max(0, self._depth - 1)
            return found
