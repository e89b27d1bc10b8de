"""A stand-in for ``torch``: CUDA events on a stream whose GPU goes on when it is told to."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


class FakeTorch(ModuleType):
    """The module. Each event takes ``step_ms`` more; :meth:`catch_up` lets the GPU reach all."""

    def __init__(self, *, initialized: bool = True) -> None:
        super().__init__("torch")
        self.initialized = initialized
        self.capturing = False
        self.step_ms = 250.0
        self.recorded: list[Any] = []
        self.reached = 0
        self.error: Exception | None = None
        torch = self

        class Event:
            """As torch.cuda.Event: asking about what was not recorded is an error."""

            def __init__(self, enable_timing: bool = False) -> None:
                self.enable_timing = enable_timing
                self.place = 0

            def record(self) -> None:
                if torch.error is not None:
                    raise torch.error
                torch.recorded.append(self)
                self.place = len(torch.recorded)

            def query(self) -> bool:
                if torch.error is not None:
                    raise torch.error
                return 0 < self.place <= torch.reached

            def elapsed_time(self, end: Event) -> float:
                if not (self.enable_timing and end.enable_timing and end.query()):
                    raise RuntimeError("Both events must be completed before calculating")
                return (end.place - self.place) * torch.step_ms

        self.cuda = SimpleNamespace(
            Event=Event,
            is_initialized=lambda: torch.initialized,
            is_current_stream_capturing=lambda: torch.capturing,
        )

    def catch_up(self) -> None:
        """Let the GPU come to the end of its stream."""
        self.reached = len(self.recorded)
