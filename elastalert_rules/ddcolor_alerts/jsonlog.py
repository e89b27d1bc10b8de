"""JSON log lines of the alerting process, in the form that the agent tails.

The names are those of the project's semantic conventions; a test holds them in step, because this
environment cannot import the library that declares them.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from ddcolor_alerts.redaction import redact

SERVICE_NAME = "ddcolor-elastalert"

EVENT_ALERT_RAISED = "ddcolor.alert.raised"
EVENT_ALERT_REFUSED = "ddcolor.alert.refused"
EVENT_ALERTING_STARTED = "ddcolor.alerting.started"
EVENT_ALERTING_HEARTBEAT = "ddcolor.alerting.heartbeat"
EVENT_ALERTING_STOPPED = "ddcolor.alerting.stopped"

ALERT_ID = "ddcolor.alert.id"
ALERT_RULE = "ddcolor.alert.rule"
RULE_COUNT = "ddcolor.alerting.rules"
CYCLE_DURATION = "ddcolor.alerting.cycle_s"

_MAX_BYTES = 10_000_000
_KEPT_FILES = 3
_SAY_AGAIN_S = 30.0
_COMMON_START = 60
_KEYS = 1000
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Repetitions(logging.Filter):
    """Lets a text through once in 30 s, then with the number of those that were left out.

    In an outage of Elasticsearch every rule says the same every second, with a traceback; all of it
    would be read by the agent and sent to that very Elasticsearch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to say it; a text is known by its first characters."""
        text = record.getMessage()
        # What is wrong with a rule's file stands at the end of the text, and is said once anyway.
        key = text if text.startswith("Could not load rule") else text[:_COMMON_START]
        now = time.monotonic()
        with self._lock:
            said, left_out = self._seen.get(key, (-_SAY_AGAIN_S, 0))
            if now - said < _SAY_AGAIN_S:
                self._seen[key] = (said, left_out + 1)
                return False
            if len(self._seen) > _KEYS:
                self._seen.clear()
            self._seen[key] = (now, 0)
        if left_out:
            record.msg, record.args = f"{text} (and {left_out} more like it)", None
        return True


def alert_fields(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a log line about ``alert``.

    Neither the fault's kind nor its text: a rule that reads this line must not take it for the
    fault itself.
    """
    return {ALERT_ID: alert["alert_id"], ALERT_RULE: alert["rule"]}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, redacted and capped."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self._resource = {
            "service.name": SERVICE_NAME,
            "service.version": version,
            "service.instance.id": secrets.token_hex(8),
        }

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of ``record``; ``extra`` may hold ``event`` and ``fields``."""
        line: dict[str, Any] = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).strftime(
                "%Y-%m-%dT%H:%M:%S.%fZ"
            ),
            "log.level": record.levelname.lower(),
            "message": redact(record.getMessage()),
        }
        event = getattr(record, "event", None)
        if event:
            line["event.name"] = event
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0]:
            kind, error, _ = record.exc_info
            line["error.type"] = f"{kind.__module__}.{kind.__qualname__}"
            line["error.message"] = redact(str(error))
            line["error.stack_trace"] = redact("".join(traceback.format_exception(error)))
        line |= self._resource
        line["log.record.uid"] = record_uid()
        return json.dumps(line, ensure_ascii=False, default=str)


class _PrivateRotatingFile(RotatingFileHandler):
    """A rotating file that the owner writes and the group (the agent) reads."""

    def _open(self) -> Any:
        stream = super()._open()
        Path(self.baseFilename).chmod(0o640)
        return stream


def configure(log_file: Path | None, version: str, level: str) -> None:
    """Send every logger's lines to stdout and, if named, to ``log_file``.

    ElastAlert2 says several lines for each run of each rule at level info; they are left out unless
    ``level`` is debug.
    """
    formatter = JsonFormatter(version)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(
            _PrivateRotatingFile(
                log_file, maxBytes=_MAX_BYTES, backupCount=_KEPT_FILES, encoding="utf-8"
            )
        )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    for handler in handlers:
        handler.setFormatter(formatter)
        if level != "debug":
            handler.addFilter(_worth_saying)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("elastalert").setLevel(logging.INFO if level == "debug" else logging.WARNING)
    for repetitive in ("elastalert", "apscheduler.executors.default"):
        logging.getLogger(repetitive).addFilter(Repetitions())
    threading.excepthook = _log_thread_exception


def _worth_saying(record: logging.LogRecord) -> bool:
    """Leave out what libraries say of single requests, and of single rounds that took long.

    A filter and not a level: ElastAlert2 sets the levels again. The heartbeat tells how long rounds
    take, and a request that failed is reported by the one who made it.
    """
    if record.name.partition(".")[0] in ("elasticsearch", "urllib3", "apscheduler"):
        return record.levelno >= logging.ERROR
    return "took longer than" not in record.getMessage()


def record_uid() -> str:
    """Return a ULID: 48 bits of milliseconds, 80 random bits, so it sorts by time."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def _log_thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        logging.getLogger("ddcolor_alerts").error(
            "A thread ended with an exception",
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
