"""One record is one valid line of JSON with the agreed fields, whatever is logged."""

from __future__ import annotations

import decimal
import enum
import json
import math
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_telemetry import semconv
from comfyui_telemetry.testing import Captured, capture, check_declared


class _Colour(enum.Enum):
    RED = "red"


class _Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no str")


class _Huge:
    def __repr__(self) -> str:
        return "x" * 10_000_000


def _logged(value: Any) -> Any:
    with capture() as captured:
        captured.telemetry.logger("t").info("a message", thing=value)
    (record,) = captured.records
    return record.get("thing")


def test_a_record_has_the_agreed_fields() -> None:
    """Time, level, message, event, resource, id, logger and attributes are all there."""
    with capture(service_name="svc", service_version="1.2.3") as captured:
        captured.telemetry.logger("a.b").info(
            "Ready", event_name=semconv.EVENT_SERVICE_STARTED, **{semconv.DEVICE: "cpu"}
        )
    record = captured.record(semconv.EVENT_SERVICE_STARTED)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record.pop("@timestamp"))
    assert re.fullmatch("[0-9A-Z]{26}", record.pop(semconv.LOG_RECORD_UID))
    assert re.fullmatch("[0-9a-f]{32}", record.pop(semconv.SERVICE_INSTANCE_ID))
    assert record == {
        "log.level": "info",
        "message": "Ready",
        "event.name": "comfyui.service.started",
        "service.name": "svc",
        "service.version": "1.2.3",
        "otel.scope.name": "a.b",
        "ddcolor.device": "cpu",
    }


def test_a_record_in_a_span_carries_its_ids() -> None:
    """trace_id and span_id are those of the current span, in hex."""
    with capture() as captured, captured.telemetry.tracer.start_as_current_span("s") as span:
        captured.telemetry.logger("t").info("inside")
        told = captured.telemetry.trace_id_of_current()
    (record,) = captured.records
    context = span.get_span_context()
    assert record["trace_id"] == told == format(context.trace_id, "032x")
    assert record["span_id"] == format(context.span_id, "016x")


def test_outside_of_a_span_there_are_no_ids() -> None:
    """No made-up zeros: the fields are absent, and the current trace id is None."""
    with capture() as captured:
        captured.telemetry.logger("t").info("outside")
        assert captured.telemetry.trace_id_of_current() is None
    assert "trace_id" not in captured.records[0]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_levels_keep_their_names(level: str) -> None:
    """Each method of a logger writes its own level."""
    with capture() as captured:
        getattr(captured.telemetry.logger("t"), level)("m")
    assert captured.records[0]["log.level"] == level


def test_below_the_level_nothing_is_written() -> None:
    """log_level holds for loggers and recorder alike."""
    with capture(log_level="warning") as captured:
        captured.telemetry.logger("t").info("m")
        with captured.telemetry.recorder.prompt("p", node_count=0):
            pass
        captured.telemetry.logger("t").warning("w")
    assert [record["message"] for record in captured.records] == ["w"]


def test_bound_attributes_are_in_every_record() -> None:
    """What is bound to a logger stays with it, as structlog users expect."""
    with capture() as captured:
        log = captured.telemetry.logger("t").bind(**{semconv.DEVICE: "cpu"})
        log.info("one")
        log.info("two %s", "args")
    assert [record[semconv.DEVICE] for record in captured.records] == ["cpu", "cpu"]
    assert captured.records[1]["message"] == "two args"


def test_an_exception_is_described() -> None:
    """Type, message and stack trace, redacted; the type fully qualified."""
    with capture() as captured:
        try:
            json.loads("{")
        except ValueError:
            captured.telemetry.logger("t").exception("It failed")
        captured.telemetry.logger("t").error("Given", exc_info=OSError("/home/alice/x.png is bad"))
    first, second = captured.records
    assert first["error.type"] == "json.decoder.JSONDecodeError"
    assert "Expecting property name" in first["error.message"]
    assert first["error.stack_trace"].startswith("Traceback (most recent call last)")
    assert str(Path(__file__).parent) not in first["error.stack_trace"]
    assert second["error.type"] == "OSError"
    assert "alice" not in second["error.message"]


def test_a_long_stack_trace_keeps_its_start_and_its_end() -> None:
    """The cut is marked, and the exception itself stays readable."""

    def dig(depth: int) -> None:
        if depth == 0:
            raise ValueError("the bottom\n" + "filler line\n" * 5000 + "the last line")
        dig(depth - 1)

    with capture() as captured:
        try:
            dig(200)
        except ValueError:
            captured.telemetry.logger("t").exception("deep")
    trace = captured.records[0]["error.stack_trace"]
    assert len(trace) < 20_000
    assert "more characters]" in trace
    assert trace.rstrip().endswith("the last line")


def test_reserved_names_cannot_be_overwritten() -> None:
    """A caller's attribute never becomes a time, an id, a service or a top-level event."""
    with capture(service_name="svc") as captured:
        captured.telemetry.logger("t").info(
            "m", **{"@timestamp": 1, "message": 2, "service.name": 3, "trace_id": 4}
        )
        stdlib_like = captured.telemetry.logger("t").bind(event="overwritten by the message")
        stdlib_like.info("n")
    first, second = captured.records
    assert first["message"] == "m"
    assert first["service.name"] == "svc"
    assert "trace_id" not in first
    assert "event" not in second


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (7, 7),
        (2.5, 2.5),
        (math.nan, None),
        (math.inf, None),
        (None, None),
        (b"\x00\xff", "<2 bytes>"),
        (_Colour.RED, "red"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (decimal.Decimal("1.5"), "Decimal('1.5')"),
        (["a", "b"], ["a", "b"]),
        (("a",), ["a"]),
        ([1, "a"], '[1,"a"]'),
        ({"a": {"b": [1]}}, '{"a":{"b":[1]}}'),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (torch.tensor(2), 2),
        (np.zeros((2, 3), np.uint8), "<ndarray (2, 3) uint8 cpu>"),
        (torch.zeros(1, 3, 4, 4), "<Tensor (1, 3, 4, 4) torch.float32 cpu>"),
        (ValueError("bad"), "ValueError: bad"),
        (Path("/home/alice/secret"), "<path>"),
        (_Hostile(), "<unprintable _Hostile: RuntimeError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_become_small_json(value: object, expected: object) -> None:
    """Each kind of value has one plain form; a tensor is described and never read."""
    shown = _logged(value)
    if isinstance(value, _Hostile):
        assert "_Hostile" in shown
    else:
        assert shown == expected


def test_cycles_are_marked() -> None:
    """A structure that holds itself is shown once."""
    value: dict[str, Any] = {"n": 1}
    value["self"] = value
    assert _logged(value) == '{"n":1,"self":"<cycle>"}'


@pytest.mark.parametrize(
    "value",
    ["y" * 5_000_000, _Huge(), list(range(100_000)), {i: i for i in range(100_000)}, 1 << 70_000],
    ids=["text", "repr", "list", "dict", "integer"],
)
def test_huge_values_are_cut_and_marked(value: object) -> None:
    """No value makes a line large, and what is missing is said."""
    with capture() as captured:
        captured.telemetry.logger("t").info("m", thing=value)
    assert len(json.dumps(captured.records[0])) < 5_000
    assert re.search("more|\\.\\.\\.", captured.records[0]["thing"])


def test_a_huge_message_is_cut_at_a_word() -> None:
    """The cut of a message never leaves half of a secret."""
    with capture() as captured:
        captured.telemetry.logger("t").info("word " * 1637 + "alice@example.org " * 1000)
    message = captured.records[0]["message"]
    assert len(message) < 5_000
    assert "alice" not in message


def test_too_many_attributes_are_counted() -> None:
    """The first 64 stay, the number of the others is said."""
    with capture() as captured:
        captured.telemetry.logger("t").info("m", **{f"a{i}": i for i in range(100)})
    (record,) = captured.records
    assert record[semconv.TELEMETRY_LEFT_OUT] == 36
    assert record["a63"] == 63


def test_lone_surrogates_and_large_integers_are_written() -> None:
    """What UTF-8 or 64 bits cannot hold is escaped, not refused."""
    with capture() as captured:
        captured.telemetry.logger("t").info(
            "bad \udcff", **{"key\ud800": "v\udfff", "n": 1 << 64, "list": ["\ud800"]}
        )
    (record,) = captured.records
    assert record["message"] == "bad \\udcff"
    assert record["n"] == hex(1 << 64)
    assert record["list"] == ["\\ud800"]


_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=20)
    | st.text(st.characters(), max_size=50),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Captured]:
    """One telemetry for all examples of a property."""
    with capture() as captured:
        yield captured


@settings(max_examples=200, deadline=None)
@given(message=_anything, value=_anything, key=st.text(st.characters(), max_size=200))
def test_whatever_is_logged_is_one_line_of_json(
    shared: Captured, message: Any, value: Any, key: str
) -> None:
    """Any message, attribute name and value make exactly one JSON object on one line."""
    before = len(shared.lines)
    shared.telemetry.logger("t").info(message, **{f"{key}.": value})
    (line,) = shared.lines[before:]
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line)["message"], str)


def test_declared_names_pass_the_check_of_names() -> None:
    """A record of declared names only has no complaint; another one does."""
    with capture() as captured:
        captured.telemetry.logger("t").info("m", **{semconv.IMAGE_WIDTH: 3})
        assert check_declared(captured.records) == []
        captured.telemetry.logger("t").info("m", **{semconv.IMAGE_WIDTH: 3.0, "nowhere": 1})
    assert [problem.split(": ")[1] for problem in check_declared(captured.records)] == [
        "attribute nowhere is not declared",
        "ddcolor.image.width is a float, not a int",
    ]
