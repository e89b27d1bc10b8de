"""Tell the same records from ComfyUI's log lines as the hooks tell from the inside."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable

from .. import semconv
from .._configure import Telemetry
from .._losses import Losses, guarded
from .._told import ToldError
from .textlog import (
    Executed,
    Failed,
    Got,
    Ignored,
    Interrupted,
    Rejected,
    Said,
    TextLogParser,
    bare,
)

_QUEUED = 10_000


def _random_id() -> str:
    return f"log-{uuid.uuid4().hex}"


class TextStory:
    """Records prompts from lines. A prompt gets an id from ``new_id``, for the lines name none.

    What the lines do not tell is not told: which node failed (its traceback says so to a person),
    cached nodes, and that a prompt has begun before it ended.
    """

    def __init__(self, telemetry: Telemetry, new_id: Callable[[], str] = _random_id) -> None:
        self._telemetry = telemetry
        self._new_id = new_id
        self._recorder = telemetry.recorder
        self.losses: Losses = telemetry.recorder.losses
        self._parser = TextLogParser()
        self._arriving: str | None = None
        self._queued: deque[str] = deque(maxlen=_QUEUED)
        self._failure: ToldError | None = None
        self._interrupted = False

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is begun, so that what follows needs no line from before."""
        waiting = self._arriving or self._queued or self._failure or self._interrupted
        return not waiting and self._parser.is_idle

    @guarded
    def feed(self, text: str) -> None:
        """Take one line, or one log record of several."""
        text = bare(text)
        for said in self._parser.feed(text):
            self._take(said)
        # A refusal follows at once; any other line means that the prompt was accepted.
        if not text.startswith(("got prompt", "Failed to validate", "* ", "  - ", "Output will")):
            self._accepted()

    @guarded
    def close(self) -> None:
        """Tell what was begun when the log ends."""
        for said in self._parser.close():
            self._take(said)
        self._accepted()

    def _take(self, said: Said) -> None:
        if isinstance(said, Got):
            self._accepted()
            self._arriving = self._new_id()
        elif isinstance(said, Rejected):
            prompt_id, self._arriving = self._arriving, None
            self._recorder.prompt_rejected(
                error_type=said.error_type,
                message=said.message,
                prompt_id=prompt_id,
                node_errors=said.node_errors,
            )
        elif isinstance(said, Ignored):
            self._ignored(said)
        elif isinstance(said, Failed):
            self._failure = ToldError(
                said.error_type or "Exception", said.message, said.stack_trace
            )
        elif isinstance(said, Interrupted):
            self._interrupted = True
        elif isinstance(said, Executed):
            self._executed(said.seconds)

    def _accepted(self) -> None:
        if self._arriving is not None:
            prompt_id, self._arriving = self._arriving, None
            self._queued.append(prompt_id)
            self._recorder.prompt_queued(prompt_id, number_waiting=len(self._queued))

    def _ignored(self, said: Ignored) -> None:
        for node_id, found in said.node_errors.items():
            class_type = found["class_type"]
            attributes = {semconv.NODE_ID: node_id, semconv.NODE_CLASS_TYPE: class_type}
            if self._arriving is not None:
                attributes[semconv.PROMPT_ID] = self._arriving
            self._telemetry.logger(__name__).warning(
                f"Prompt runs without the outputs of node {class_type} ({node_id})",
                event_name=semconv.EVENT_OUTPUT_IGNORED,
                **attributes,
            )

    def _executed(self, seconds: float) -> None:
        self._accepted()
        prompt_id = self._queued.popleft() if self._queued else self._new_id()
        now = time.time_ns()
        record = self._recorder.prompt(prompt_id, node_count=None)
        record.begin(now - int(seconds * 1e9))
        if self._interrupted:
            record.interrupted()
        record.end(self._failure, now, seconds)
        self._failure, self._interrupted = None, False
