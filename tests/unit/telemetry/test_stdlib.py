"""The rest of the process in the stream: stdlib logging, warnings, uncaught exceptions, crashes."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from comfyui_telemetry import semconv
from comfyui_telemetry._crash import CrashFile
from comfyui_telemetry._losses import Losses
from comfyui_telemetry.testing import capture, check_declared


def test_stdlib_records_join_the_stream() -> None:
    """Level, logger, arguments, extra attributes and exception come along, redacted."""
    with capture(join=True) as captured:
        log = logging.getLogger("some.library")
        log.info("read %s from %s", "x", "10.0.0.1", extra={semconv.DEVICE: "cpu"})
        log.error("failed", exc_info=ValueError("bad"))
        log.log(35, "between the levels")
    first, second, third = captured.records
    assert first["message"] == "read x from <ip>"
    assert first["log.level"] == "info"
    assert first["otel.scope.name"] == "some.library"
    assert first[semconv.DEVICE] == "cpu"
    assert second["error.type"] == "ValueError"
    assert second["log.level"] == "error"
    assert third["log.level"] == "warning"
    assert check_declared(captured.records) == []


def test_a_record_with_wrong_arguments_is_kept() -> None:
    """A wrong format string costs its arguments, not the record and not the caller."""
    with capture(join=True) as captured:
        # Not through a logger: other handlers would complain about the format too.
        record = logging.LogRecord("t", logging.WARNING, "f", 1, "%d items", ("no",), None)
        logging.getLogger().handlers[-1].handle(record)
    assert captured.records[0]["message"] == "%d items (its arguments do not fit)"


def test_exporters_that_fail_fill_neither_stream_nor_console(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Repeated complaints of OpenTelemetry's own exporters stay out; they are counted instead."""
    exporter = logging.getLogger("opentelemetry.exporter.otlp")
    console = logging.StreamHandler()
    logging.getLogger().addHandler(console)
    try:
        with capture(join=True) as captured:
            exporter.error("Transient error, retrying")
            logging.getLogger("opentelemetry.attributes").warning("a value was refused")
        assert "Transient" not in capfd.readouterr().err
        exporter.error("Nobody counts this one")
        assert "Nobody counts" in capfd.readouterr().err
    finally:
        logging.getLogger().removeHandler(console)
    assert [record["message"] for record in captured.records] == ["a value was refused"]


def test_warnings_join_the_stream() -> None:
    """A Python warning is a record of level warning."""
    with capture(join=True) as captured, warnings.catch_warnings():
        logging.captureWarnings(True)
        warnings.simplefilter("always")
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    (record,) = captured.records
    assert "DeprecationWarning: old thing" in record["message"]
    assert record["log.level"] == "warning"


def test_uncaught_exceptions_join_the_stream_and_still_reach_the_old_hooks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the main thread and in others; Ctrl-C is no error."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: seen.append(args[1]))
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_value))
    error = ValueError("nobody caught it")

    def fail() -> None:
        raise error

    with capture(join=True) as captured:
        sys.excepthook(ValueError, error, None)
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
        thread = threading.Thread(target=fail, name="worker-7")
        thread.start()
        thread.join()
    assert [record["message"] for record in captured.records] == [
        "Uncaught exception",
        "Uncaught exception in thread worker-7",
    ]
    assert {record["log.level"] for record in captured.records} == {"critical"}
    assert captured.records[1]["error.type"] == "ValueError"
    assert [type(error).__name__ for error in seen] == [
        "ValueError",
        "KeyboardInterrupt",
        "ValueError",
    ]


def test_leaving_restores_everything() -> None:
    """After shutdown logging, warnings and hooks are as they were."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, sys.excepthook, threading.excepthook)
    shown = warnings.showwarning
    with capture(join=True):
        assert sys.excepthook is not before[2]
    after = (list(root.handlers), root.level, sys.excepthook, threading.excepthook)
    assert after == before
    assert warnings.showwarning is shown


def test_hooks_of_others_that_came_later_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody put over our hook is not taken out with it."""

    def later(*_: Any) -> None:
        return None

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with capture(join=True):
        sys.excepthook = later
    assert sys.excepthook is later


def test_a_crash_is_told_at_the_next_start(tmp_path: Path) -> None:
    """What faulthandler left becomes one critical record, once, without paths."""
    path = tmp_path / "service.fault"
    path.write_text('Fatal Python error: Segmentation fault\n\n  File "/home/alice/x.py", line 1\n')
    was_enabled = faulthandler.is_enabled()
    with capture() as captured:
        for _ in range(2):
            crash_file = CrashFile(path)
            crash_file.open(captured.telemetry._stream, Losses())
            crash_file.close()
    record = captured.record(semconv.EVENT_SERVICE_CRASHED)
    assert record["message"].endswith("Fatal Python error: Segmentation fault")
    assert "x.py" in record["error.stack_trace"]
    assert "alice" not in record["error.stack_trace"]
    assert path.stat().st_size == 0
    assert faulthandler.is_enabled() == was_enabled
