"""What a node may know and do while it runs: stop when asked, report progress, describe its work.

Nodes reach it with :func:`current_run`. Outside of a prompt (a unit test) there is none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ddcolor_service.errors import HardLimitError, PromptInterruptedError
from ddcolor_service.notices import Notice

Attribute = str | int | float | bool


class CancelToken:
    """Asks a running prompt to stop. Cooperative: nodes call :meth:`check` between their steps."""

    def __init__(self, prompt_limit_s: float = 0.0) -> None:
        self._asked = threading.Event()
        self._prompt_limit_s = prompt_limit_s
        self._node_limit_s = 0.0
        self._prompt_start = self._node_start = self._seen = time.monotonic()

    def start(self) -> None:
        """Begin the time of the prompt."""
        self._prompt_start = self._seen = time.monotonic()

    def start_node(self, limit_s: float) -> None:
        """Begin the time of one node; 0 is no limit."""
        self._node_limit_s = limit_s
        self._node_start = time.monotonic()

    def cancel(self) -> None:
        """Ask for a stop; from any thread."""
        self._asked.set()

    @property
    def cancelled(self) -> bool:
        """True once somebody asked for a stop."""
        return self._asked.is_set()

    def silent_for(self) -> float:
        """Return for how many seconds nobody has called :meth:`check`."""
        return time.monotonic() - self._seen

    def check(self) -> None:
        """Return, or raise :class:`PromptInterruptedError` or :class:`HardLimitError`."""
        self._seen = now = time.monotonic()
        if self._asked.is_set():
            raise PromptInterruptedError("the prompt was interrupted")
        for what, start, limit in (
            ("node", self._node_start, self._node_limit_s),
            ("prompt", self._prompt_start, self._prompt_limit_s),
        ):
            if limit and now - start > limit:
                raise HardLimitError(f"stopped: the {what} ran longer than {limit:g} s")

    def wait(self, seconds: float) -> None:
        """Sleep, but wake for a stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._asked.wait(min(left, 0.2))
            self.check()


@dataclass(slots=True)
class NodeRun:
    """One node at work.

    ``describe`` puts attributes on its span and its log line. ``notice`` tells the client something
    that is worth knowing but no error.
    """

    prompt_id: str
    node_id: str
    class_type: str
    scenario: str | None
    cancel: CancelToken
    describe: Callable[..., None]
    report: Callable[[int, int], None]
    notice: Callable[[Notice], None]

    def progress(self, value: int, of: int) -> None:
        """Tell the clients how far the node is; also a chance to stop."""
        self.cancel.check()
        self.report(value, of)


_CURRENT: ContextVar[NodeRun | None] = ContextVar("ddcolor_node_run", default=None)


def current_run() -> NodeRun | None:
    """Return the node that runs in this thread, if any."""
    return _CURRENT.get()


class entered:  # noqa: N801  reads as a verb: with entered(run)
    """Make ``run`` the current one inside a ``with`` block."""

    def __init__(self, run: NodeRun) -> None:
        self._run = run

    def __enter__(self) -> NodeRun:
        self._token = _CURRENT.set(self._run)
        return self._run

    def __exit__(self, *_: Any) -> None:
        _CURRENT.reset(self._token)
