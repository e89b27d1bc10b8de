"""ComfyUI's own log records: taken out of the stream where the hooks have said the same better.

"!!! Exception during processing !!! CUDA out of memory" beside the record of the failed node would
count one fault twice, and a rule that looks for its keyword would alert twice. ComfyUI's console
keeps every line: this filters only what goes to our stream. Without the hooks the lines themselves
are the story.
"""

from __future__ import annotations

import logging
import threading

from .story import TextStory

_EXECUTION = (
    "got prompt",
    "Prompt executed in ",
    "Processing interrupted",
    "!!! Exception during processing",
    "Got an OOM, unloading all loaded models.",
)
_VALIDATION = (
    "invalid prompt: ",
    "Failed to validate prompt for output ",
    "Output will be ignored",
)
_VALIDATION_DETAILS = ("* ", "  - ")
_TRACEBACK = "Traceback (most recent call last):"


class LogLines:
    """A filter of stdlib logging: true for records that are to be kept.

    ``story`` takes ComfyUI's lines where hooks are missing. Tracebacks and details are ComfyUI's
    only where they follow, on the same thread, a line that is.
    """

    def __init__(self, story: TextStory | None) -> None:
        self._story = story
        self._last = threading.local()

    def __call__(self, record: logging.LogRecord) -> bool:
        """Return whether the record is no line of ComfyUI's executor or validation."""
        # ComfyUI logs to the root logger; custom nodes mostly have loggers of their own.
        if record.name != "root":
            return True
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - the handler says what is wrong with it
            return True
        before = getattr(self._last, "kind", "")
        kind = self._last.kind = _kind(text, before)
        if not kind:
            return True
        if self._story is not None:
            self._story.feed(text)
        return False


def _kind(text: str, before: str) -> str:
    """Return which of ComfyUI's lines ``text`` is, after one of kind ``before``; "" if none."""
    if text.startswith("!!! Exception during processing"):
        return "exception"
    if text.startswith(_EXECUTION):
        return "execution"
    if text.startswith(_VALIDATION):
        return "validation"
    if before == "exception" and text.startswith(_TRACEBACK):
        return "traceback"
    if before == "validation" and text.startswith(_VALIDATION_DETAILS):
        return "validation"
    return ""
