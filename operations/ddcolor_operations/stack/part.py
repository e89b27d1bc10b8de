"""What the supervisor knows about one part of the stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from .launch import LaunchSpec

State = Literal["waiting", "starting", "ready", "restarting", "stopping", "stopped"]


@dataclass(frozen=True)
class Part:
    """One process of the stack: how to start it and how to tell that it is ready.

    ``ready`` is a short blocking check (a second at the most) that answers no instead of raising.
    ``after_ready`` runs once, after the first start and before the parts that need this one start.
    """

    name: str
    version: str
    port: int | None
    launch: LaunchSpec
    ready: Callable[[], bool]
    needs: tuple[str, ...] = ()
    after_ready: Callable[[], None] | None = None
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 15.0


@dataclass
class PartStatus:
    """What ``status`` shows of one part; times are Unix seconds."""

    name: str
    version: str
    port: int | None
    log: str
    state: State = "waiting"
    healthy: bool = False
    pid: int | None = None
    restarts: int = 0
    started_at: float | None = None
    ready_after_s: float | None = None
    last_exit: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


@dataclass
class StackStatus:
    """What ``status`` shows of the whole stack."""

    supervisor_pid: int
    state: Literal["starting", "ready", "degraded", "failed", "stopping", "stopped"]
    parts: list[PartStatus]
    started_at: float
    ready_after_s: float | None = None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> StackStatus:
        """Read the JSON form."""
        parts = [PartStatus(**part) for part in values.pop("parts")]
        return cls(parts=parts, **values)

    def part(self, name: str) -> PartStatus:
        """Return the part called ``name``. Raises KeyError."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)


def part_log(log_dir: Path, name: str) -> Path:
    """Return the file that holds what the part prints."""
    return log_dir / f"{name}.out"
