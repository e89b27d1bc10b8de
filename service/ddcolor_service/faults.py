"""Faults on purpose, for drills: armed by an operator, and real when they happen.

Nothing here raises a made-up exception: the allocation that fails is an allocation, the shapes
that do not fit are tensors. So a drill exercises the same classification, clean-up and alerts as
the bad day does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from ddcolor_service.errors import RequestRefusedError

FaultName = Literal[
    "out_of_memory", "missing_checkpoint", "slow_inference", "execution_error", "output_damaged"
]
MAX_COUNT = 1000
MAX_SECONDS = 600.0
DEFAULT_SECONDS = 31.0
_ABSURD_FLOATS = 1 << 58  # 2**60 bytes: more than any address space holds, so it always fails


@dataclass(slots=True)
class ArmedFault:
    """A fault that will happen ``count`` more times; ``seconds`` is slow_inference's delay."""

    kind: FaultName
    count: int
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fault as the admin API shows it."""
        shown: dict[str, Any] = {"kind": self.kind, "count": self.count}
        return shown if self.seconds is None else {**shown, "seconds": self.seconds}


class FaultInjector:
    """The armed faults; thread-safe. Without the setting nothing can be armed."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self._lock = threading.Lock()
        self._armed: dict[str, ArmedFault] = {}

    def arm(self, body: object) -> ArmedFault:
        """Arm what an admin's JSON asks for; raises :class:`RequestRefusedError`."""
        fault = _parse(body)
        with self._lock:
            self._armed[fault.kind] = fault
        return fault

    def armed(self) -> list[ArmedFault]:
        """Return what is armed now."""
        with self._lock:
            return [ArmedFault(f.kind, f.count, f.seconds) for f in self._armed.values()]

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    def take(self, kind: FaultName) -> ArmedFault | None:
        """Return the fault if it is armed, and use one of its counts up."""
        with self._lock:
            fault = self._armed.get(kind)
            if fault is None:
                return None
            fault.count -= 1
            if fault.count == 0:
                del self._armed[kind]
            return fault


def _parse(body: object) -> ArmedFault:
    if not isinstance(body, dict) or set(body) - {"kind", "count", "seconds"}:
        raise RequestRefusedError(
            "The body must be a JSON object with kind, and optionally count and seconds"
        )
    kind = body.get("kind")
    if kind not in get_args(FaultName):
        raise RequestRefusedError(f"kind must be one of {', '.join(get_args(FaultName))}")
    kind = cast("FaultName", kind)
    count = body.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
        raise RequestRefusedError(f"count must be a whole number from 1 to {MAX_COUNT}")
    seconds = body.get("seconds")
    if kind != "slow_inference":
        if seconds is not None:
            raise RequestRefusedError("seconds belongs to slow_inference only")
        return ArmedFault(kind, count)
    seconds = DEFAULT_SECONDS if seconds is None else seconds
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise RequestRefusedError("seconds must be a number")
    if not 0 < seconds <= MAX_SECONDS:
        raise RequestRefusedError(f"seconds must lie between 0 and {MAX_SECONDS:g}")
    return ArmedFault(kind, count, float(seconds))


def exhaust_memory(device: str) -> None:
    """Ask the allocator of ``device`` for more than exists; always raises what it raises."""
    import torch

    torch.empty(_ABSURD_FLOATS, dtype=torch.float32, device=device)


def break_shapes() -> None:
    """Concatenate what does not fit, as a size that is no multiple of 32 does in the network."""
    import torch

    torch.cat([torch.zeros(1, 1, 56, 56), torch.zeros(1, 1, 57, 57)], dim=1)
