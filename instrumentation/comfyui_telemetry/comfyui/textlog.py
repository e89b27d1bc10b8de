"""ComfyUI's own log lines, as they were written since 2023, parsed into what they say.

The lines have no ids, so a prompt is known by their order only and a failed node by its traceback
only. Where nothing better can be had they still tell of every prompt, failure, refusal and
interrupt. What stands before a message since 0.33 is taken away by :func:`bare`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Without a message until 2024-04-18, without a space until 2024-08-14.
_EXCEPTION = re.compile(r"!!! Exception during processing ?!!!(?: (?P<message>.*))?$", re.DOTALL)
_EXECUTED = re.compile(
    r"Prompt executed in (?:(?P<seconds>\d+(?:\.\d+)?) seconds"
    r"|(?P<hours>\d+):(?P<minutes>\d\d):(?P<rest>\d\d))$"
)
_INVALID = re.compile(r"invalid prompt: (?P<error>.*)$", re.DOTALL)
_FAILED_OUTPUT = re.compile(r"Failed to validate prompt for output (?P<output>[^:]{1,64}):$")
_NODE = re.compile(r"\* (?P<class_type>.{1,128}) (?P<node_id>[^\s:]{1,64}):$")
_REASON = re.compile(r"  - (?P<reason>.*)$")
_RAISED = re.compile(r"(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_CHAINED = ("During handling of the above", "The above exception was", "Traceback (most recent")
_TYPE = re.compile(r"'type': '(?P<type>\w{1,64})'")
# Since 0.33: "[INFO] " in colours on the console, with the time before it in comfyui_detail.log.
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,16}m")
_TAG = re.compile(
    r"(?:\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] )?"
    r"\[(?:DEBUG|DETAIL|INFO|WARNING|ERROR|CRITICAL)\] "
)
_LITERAL_CHARS = 100_000
_TRACEBACK_LINES = 400
_GOT = "got prompt"
_INTERRUPTED, _IGNORED = "Processing interrupted", "Output will be ignored"
_TRACEBACK = "Traceback (most recent call last):"


def bare(text: str) -> str:
    """Return a line, or a record of several, without colours, time and level."""
    text = _COLOUR.sub("", text)
    tag = _TAG.match(text)
    return text[tag.end() :] if tag else text


@dataclass(frozen=True, slots=True)
class Got:
    """A prompt arrived; whether it is accepted shows in what follows."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A prompt was refused; ``node_errors`` has the form of ComfyUI's HTTP answer."""

    error_type: str
    message: str
    node_errors: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A prompt was accepted without the outputs that failed, for ``node_errors``."""

    node_errors: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """A node raised; ``error_type`` is "" and ``stack_trace`` too if no traceback followed."""

    error_type: str
    message: str
    stack_trace: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Somebody stopped the prompt that runs."""


@dataclass(frozen=True, slots=True)
class Executed:
    """The prompt that ran has ended, well or not."""

    seconds: float


Said = Got | Rejected | Ignored | Failed | Interrupted | Executed


@dataclass(slots=True)
class _Validation:
    """Lines about nodes that failed validation, until one says what becomes of the prompt."""

    node_errors: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    node_id: str = ""

    def node(self, class_type: str, node_id: str) -> None:
        self.node_id = node_id
        found = self.node_errors.setdefault(
            node_id, {"class_type": class_type, "errors": [], "dependent_outputs": []}
        )
        found["dependent_outputs"].append(self.output)

    def reason(self, text: str) -> None:
        message, _, details = text.partition(": ")
        error = {"type": message, "message": message, "details": details}
        if self.node_id and error not in self.node_errors[self.node_id]["errors"]:
            self.node_errors[self.node_id]["errors"].append(error)


class TextLogParser:
    """Feed it line by line; it yields what the lines say. Unknown lines are passed over."""

    def __init__(self) -> None:
        self._validation: _Validation | None = None
        self._failure: str | None = None
        self._trace: list[str] = []
        self._is_whole = False

    @property
    def is_idle(self) -> bool:
        """Say whether no line is waiting for a further one."""
        return self._validation is None and self._failure is None

    def feed(self, text: str) -> Iterator[Said]:
        """Take one line, or one log record of several."""
        for line in text.splitlines() or [""]:
            yield from self._line(line.rstrip())

    def close(self) -> Iterator[Said]:
        """Say what was begun and not ended when the log ends."""
        yield from self._end_validation()
        yield from self._end_failure()

    def _line(self, line: str) -> Iterator[Said]:
        if self._failure is not None and self._continues_failure(line):
            return
        if self._continues_validation(line):
            return
        if invalid := _INVALID.match(line):
            yield from self._end_failure()
            yield self._rejected(invalid["error"])
            return
        yield from self.close()
        if line == _GOT:
            yield Got()
        elif line == _INTERRUPTED:
            yield Interrupted()
        elif exception := _EXCEPTION.match(line):
            self._failure = exception["message"] or ""
        elif executed := _EXECUTED.match(line):
            yield Executed(_seconds(executed))

    def _continues_failure(self, line: str) -> bool:
        """Take a line of the traceback, or a further one of the message before it."""
        if not self._trace:
            if line == _TRACEBACK:
                self._trace.append(line)
                return True
            known = line in (_GOT, _INTERRUPTED) or _EXECUTED.match(line) or _EXCEPTION.match(line)
            return not known and not _INVALID.match(line)
        if self._is_whole and line and not line.startswith(_CHAINED):
            return False
        if line:
            self._is_whole = _is_last(line)
        if len(self._trace) < _TRACEBACK_LINES or self._is_whole:
            self._trace.append(line)
        return True

    def _end_failure(self) -> Iterator[Said]:
        if self._failure is None:
            return
        first, trace = self._failure, "\n".join(self._trace).rstrip()
        self._failure, self._trace, self._is_whole = None, [], False
        raised = _RAISED.match(trace.rpartition("\n")[2])
        error_type = raised["type"] if raised else ""
        message = first or (raised["message"] or "" if raised else "")
        yield Failed(error_type, message, trace)

    def _continues_validation(self, line: str) -> bool:
        if failed := _FAILED_OUTPUT.match(line):
            self._validation = self._validation or _Validation()
            self._validation.output = failed["output"]
            return True
        if self._validation is None:
            return False
        if node := _NODE.match(line):
            self._validation.node(node["class_type"], node["node_id"])
            return True
        if reason := _REASON.match(line):
            self._validation.reason(reason["reason"])
            return True
        return line == _IGNORED

    def _end_validation(self) -> Iterator[Said]:
        if self._validation is not None:
            errors, self._validation = self._validation.node_errors, None
            yield Ignored(errors)

    def _rejected(self, text: str) -> Rejected:
        errors = self._validation.node_errors if self._validation is not None else {}
        self._validation = None
        try:
            told = ast.literal_eval(text[:_LITERAL_CHARS])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            told = None
        if not isinstance(told, Mapping):
            found = _TYPE.search(text[:_LITERAL_CHARS])
            return Rejected(found["type"] if found else "invalid_prompt", text, errors)
        message = str(told.get("message", ""))
        details = str(told.get("details") or "").strip()
        if details and not errors:
            message = f"{message}: {details}"
        return Rejected(str(told.get("type", "invalid_prompt")), message, errors)


def _is_last(line: str) -> bool:
    """Say whether a line of a traceback is the one that names the exception."""
    return bool(line) and not line.startswith((" ", *_CHAINED)) and bool(_RAISED.match(line))


def _seconds(executed: re.Match[str]) -> float:
    if executed["seconds"] is not None:
        return float(executed["seconds"])
    hours, minutes, rest = (int(executed[name]) for name in ("hours", "minutes", "rest"))
    return hours * 3600.0 + minutes * 60 + rest
