"""The story of prompts and nodes: spans, records, measurements."""

from __future__ import annotations

import threading
import traceback
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, StatusCode

from comfyui_telemetry import NodeRecord, PromptRecord, catalogue, extract_context, semconv
from comfyui_telemetry.testing import Captured, capture, check_declared
from tests.support.telemetry import span_id

PROMPT = "8b1f0c6e-1c2d-4e3f-8a9b-0123456789ab"


def _said(captured: Captured) -> list[dict[str, Any]]:
    """Return the records whose message holds a keyword of the catalogue."""
    keywords = [kind.keyword for kind in catalogue.CATALOGUE.values()]
    return [
        record
        for record in captured.records
        if any(keyword in record["message"] for keyword in keywords)
    ]


def test_a_prompt_is_one_trace_below_its_request() -> None:
    """Request > prompt > nodes, across the thread, with waiting time and outcome."""
    with capture() as captured:
        recorder = captured.telemetry.recorder
        incoming = {"Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        with captured.telemetry.tracer.start_as_current_span(
            "POST /prompt", extract_context(incoming), SpanKind.SERVER
        ):
            recorder.prompt_queued(PROMPT, number_waiting=2)

        def work() -> None:
            with recorder.prompt(
                PROMPT, node_count=2, workflow="person", scenario="person"
            ) as prompt:
                assert prompt.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
                prompt.node_cached("1", "LoadImage")
                with prompt.node("2", "DDColor_Colorize") as node:
                    node.set(**{semconv.MODEL_NAME: "m.pth", semconv.MODEL_LOAD_DURATION: 0.4})

        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        server, prompt_span = captured.span("POST /prompt"), captured.span("prompt")
        cached, node_span = captured.span("node LoadImage"), captured.span("node DDColor_Colorize")
        assert {span.context.trace_id for span in captured.spans if span.context} == {
            int("4bf92f3577b34da6a3ce929d0e0e4736", 16)
        }
        assert prompt_span.kind is SpanKind.CONSUMER
        assert prompt_span.parent is not None
        assert prompt_span.parent.span_id == span_id(server)
        for child in (cached, node_span):
            assert child.parent is not None
            assert child.parent.span_id == span_id(prompt_span)
        assert cached.start_time == cached.end_time
        assert dict(cached.attributes or {})[semconv.NODE_OUTCOME] == "cached"
        told = dict(prompt_span.attributes or {})
        assert told.pop(semconv.PROMPT_DURATION) > 0  # type: ignore[operator]
        assert told.pop(semconv.QUEUE_WAIT) >= 0  # type: ignore[operator]
        assert told == {
            semconv.PROMPT_ID: PROMPT,
            semconv.PROMPT_NODE_COUNT: 2,
            semconv.PROMPT_OUTCOME: "success",
            semconv.WORKFLOW_NAME: "person",
            semconv.SCENARIO: "person",
        }
        finished = captured.events(semconv.EVENT_NODE_FINISHED)[1]
        assert finished[semconv.MODEL_NAME] == "m.pth"
        assert finished["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert finished["span_id"] == format(span_id(node_span), "016x")
        assert check_declared(captured.records, captured.spans, captured.metrics()) == []
        assert _said(captured) == []


def test_measurements_tell_classes_and_outcomes() -> None:
    """Durations, outcomes, cache hits, model loads, waiting and depth are measured."""
    with capture(role="service") as captured:
        recorder = captured.telemetry.recorder
        recorder.prompt_queued("waits", number_waiting=1)
        recorder.prompt_queued(PROMPT, number_waiting=2)
        with recorder.prompt(PROMPT, node_count=2) as prompt:
            prompt.node_cached("1", "A")
            with prompt.node("2", "B") as node:
                node.set(**{semconv.MODEL_LOAD_DURATION: 0.1})
            with pytest.raises(ValueError, match="x"), prompt.node("3", "B"):
                raise ValueError("x")
        points = {
            (point.name, *sorted(map(str, point.attributes.values()))): point
            for point in captured.metrics()
        }
    assert points[semconv.METRIC_NODE_DURATION, "B", "executed"].count == 1
    assert points[semconv.METRIC_NODE_DURATION, "B", "ValueError", "failed"].count == 1
    assert points[semconv.METRIC_PROMPT_DURATION, "failed"].count == 1
    assert points[semconv.METRIC_PROMPTS, "failed"].value == 1
    assert points[semconv.METRIC_CACHE_HITS, "A"].value == 1
    assert points[semconv.METRIC_MODEL_LOADS, "B"].value == 1
    assert points[(semconv.METRIC_QUEUE_WAIT,)].count == 1
    assert points[(semconv.METRIC_QUEUE_DEPTH,)].value == 1
    assert points[(semconv.METRIC_PROCESS_MEMORY,)].value > 1_000_000


def test_records_inside_a_node_carry_prompt_and_node() -> None:
    """Any logger's record made inside the node's block is found by prompt and node id."""
    with capture() as captured:
        log = captured.telemetry.logger("t")
        with captured.telemetry.recorder.prompt(PROMPT, node_count=1) as prompt:
            log.info("in the prompt")
            with prompt.node("2", "B"):
                log.info("in the node")
        log.info("after")
    in_prompt, in_node, after = (
        next(record for record in captured.records if record["message"] == message)
        for message in ("in the prompt", "in the node", "after")
    )
    assert in_prompt[semconv.PROMPT_ID] == in_node[semconv.PROMPT_ID] == PROMPT
    assert in_node[semconv.NODE_ID] == "2"
    assert in_node["span_id"] != in_prompt["span_id"]
    assert semconv.NODE_ID not in in_prompt
    assert semconv.PROMPT_ID not in after
    assert "trace_id" not in after


def test_a_node_failure_is_said_once_with_its_keyword() -> None:
    """The node's end says it; the prompt's end has kind and level and no keyword."""
    with capture() as captured:
        with (
            pytest.raises(RuntimeError, match="out of memory"),
            captured.telemetry.recorder.prompt(PROMPT, node_count=1) as prompt,
            prompt.node("2", "DDColor_Colorize"),
        ):
            raise RuntimeError("CUDA out of memory at /home/alice/x.py for 10.0.0.1\nmore")
        (said,) = _said(captured)
        assert said[semconv.EVENT_NAME] == semconv.EVENT_NODE_FINISHED
        assert said["message"] == (
            "Out of memory: node DDColor_Colorize (2): CUDA out of memory at <path>/x.py for <ip>"
        )
        assert said["log.level"] == "error"
        assert said[semconv.NODE_OUTCOME] == "failed"
        assert said[semconv.ERROR_KIND] == "out_of_memory"
        assert said[semconv.ERROR_LEVEL] == 2
        assert said[semconv.ERROR_TYPE] == "RuntimeError"
        assert "alice" not in said[semconv.ERROR_STACK_TRACE]
        finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
        assert finished["message"] == "Prompt failed in node DDColor_Colorize (2)"
        assert finished[semconv.PROMPT_OUTCOME] == "failed"
        assert finished[semconv.ERROR_KIND] == "out_of_memory"
        assert finished[semconv.ERROR_LEVEL] == 2
        for name in ("prompt", "node DDColor_Colorize"):
            span = captured.span(name)
            assert span.status.status_code is StatusCode.ERROR
            assert "alice" not in str(span.status.description)
            assert span.events == ()
        attributes = captured.span("node DDColor_Colorize").attributes or {}
        assert attributes[semconv.ERROR_TYPE] == "RuntimeError"
        assert check_declared(captured.records, captured.spans, captured.metrics()) == []


def test_an_exception_caught_between_node_and_prompt_fails_the_prompt() -> None:
    """ComfyUI's executor catches what a node raises; the prompt has failed all the same."""
    with capture() as captured:
        with (
            captured.telemetry.recorder.prompt(PROMPT, node_count=1) as prompt,
            pytest.raises(ValueError, match="x"),
            prompt.node("2", "B"),
        ):
            raise ValueError("x")
        assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "failed"
        assert len(_said(captured)) == 1


def test_an_exception_that_leaves_two_nodes_is_said_once() -> None:
    """A node inside an expanded one: both failed, one record says it."""
    with capture() as captured:
        with (
            pytest.raises(ValueError, match="x"),
            captured.telemetry.recorder.prompt(PROMPT, node_count=2) as prompt,
            prompt.node("3", "Outer"),
            prompt.node("3.0.0.1", "Inner", parent_node_id="3"),
        ):
            raise ValueError("x")
        (said,) = _said(captured)
        assert said[semconv.NODE_ID] == "3.0.0.1"
        outer, inner = captured.span("node Outer"), captured.span("node Inner")
        assert inner.parent is not None
        assert inner.parent.span_id == span_id(outer)
        assert (inner.attributes or {})[semconv.NODE_ID] == "3.0.0.1"
        assert outer.status.status_code is StatusCode.ERROR


def test_a_failure_outside_any_node_is_said_by_the_prompt() -> None:
    """The executor's own fault is alerted too, once."""
    with capture() as captured:
        with (
            pytest.raises(KeyError),
            captured.telemetry.recorder.prompt(PROMPT, node_count=1),
        ):
            raise KeyError("missing")
        (said,) = _said(captured)
        assert said[semconv.EVENT_NAME] == semconv.EVENT_PROMPT_FINISHED
        assert said["message"].startswith("Execution error: the prompt outside its nodes")
        assert said[semconv.ERROR_TYPE] == "KeyError"


def test_a_failure_told_by_hand_is_said_by_the_prompt() -> None:
    """failed() without an exception, as after a check of the output, is said once."""
    with capture() as captured:
        with captured.telemetry.recorder.prompt(PROMPT, node_count=1) as prompt:
            with prompt.node("2", "DDColor_Colorize"):
                pass
            prompt.failed("output_damaged", "2", "DDColor_Colorize")
        (said,) = _said(captured)
        assert said["message"] == "Damaged output: node DDColor_Colorize (2)"
        assert said[semconv.ERROR_KIND] == "output_damaged"


def _stop(by_hand: NodeRecord | None, error: BaseException) -> None:
    if by_hand is not None:
        by_hand.interrupted()
    raise error


@pytest.mark.parametrize("how", ["by class", "by hand", "by cancelling"])
def test_an_interrupt_is_no_error(how: str) -> None:
    """Node and prompt end as interrupted, at level info, without kind, status or keyword."""

    class InterruptProcessingException(Exception):  # noqa: N818 - ComfyUI's name
        """Named as ComfyUI names its own."""

    error: BaseException = {
        "by class": InterruptProcessingException(),
        "by hand": RuntimeError("stop"),
        "by cancelling": KeyboardInterrupt(),
    }[how]
    with capture() as captured:
        with (
            pytest.raises(type(error)),
            captured.telemetry.recorder.prompt(PROMPT, node_count=1) as prompt,
            prompt.node("2", "B") as node,
        ):
            _stop(node if how == "by hand" else None, error)
        for event, outcome in (
            (semconv.EVENT_NODE_FINISHED, semconv.NODE_OUTCOME),
            (semconv.EVENT_PROMPT_FINISHED, semconv.PROMPT_OUTCOME),
        ):
            record = captured.record(event)
            assert record[outcome] == "interrupted"
            assert record["log.level"] == "info"
            assert semconv.ERROR_KIND not in record
        assert captured.span("node B").status.status_code is StatusCode.UNSET
        assert _said(captured) == []


def test_the_exception_passes_through_unchanged() -> None:
    """The same object, with no frame of this library in its traceback."""
    error = ValueError("mine")
    with (
        capture() as captured,
        pytest.raises(ValueError, match="mine") as caught,
        captured.telemetry.recorder.prompt(PROMPT, node_count=1) as prompt,
        prompt.node("2", "B"),
    ):
        raise error
    assert caught.value is error
    frames = traceback.extract_tb(error.__traceback__)
    assert [frame.filename for frame in frames] == [__file__]
    assert error.__context__ is None
    assert vars(error) == {}


def test_the_context_is_left_as_it_was() -> None:
    """After a prompt, failed or not, no span is current."""
    with capture() as captured:
        before = context.get_current()
        with (
            pytest.raises(ValueError, match="x"),
            captured.telemetry.recorder.prompt(PROMPT, node_count=1) as prompt,
            prompt.node("2", "B"),
        ):
            raise ValueError("x" if trace.get_current_span().is_recording() else "no span")
        assert context.get_current() == before


def test_a_refused_upload_is_said_with_its_kind() -> None:
    """The record has keyword, kind and level, and nothing of the user's file name."""
    with capture() as captured:
        captured.telemetry.recorder.upload_rejected(
            kind="decode_failed", reason="cannot identify image file 'anna.png'"
        )
        record = captured.record(semconv.EVENT_UPLOAD_REJECTED)
        assert record["message"].startswith("Failed to decode image: cannot identify image file")
        assert "anna" not in record["message"]
        assert record[semconv.ERROR_KIND] == "decode_failed"
        assert record[semconv.ERROR_LEVEL] == 2
        assert len(_said(captured)) == 1


def test_a_refused_prompt_names_its_first_bad_node() -> None:
    """ComfyUI's answer is told in one record: type, node, redacted details; no alert."""
    node_errors = {
        "1": {
            "class_type": "LoadImage",
            "errors": [
                {
                    "type": "custom_validation_failed",
                    "message": "Custom validation failed for node",
                    "details": "image - Invalid image file: anna.png",
                }
            ],
            "dependent_outputs": ["9"],
        },
        "bad": "not a mapping",
    }
    with capture() as captured:
        captured.telemetry.recorder.prompt_rejected(
            error_type="prompt_outputs_failed_validation",
            message="Prompt outputs failed validation",
            prompt_id=PROMPT,
            node_errors=node_errors,
        )
        record = captured.record(semconv.EVENT_PROMPT_REJECTED)
        assert record[semconv.ERROR_TYPE] == "prompt_outputs_failed_validation"
        assert record[semconv.NODE_ID] == "1"
        assert record[semconv.NODE_CLASS_TYPE] == "LoadImage"
        assert "custom_validation_failed" in record[semconv.ERROR_MESSAGE]
        assert "anna" not in str(record)
        assert semconv.ERROR_KIND not in record
        points = [p for p in captured.metrics() if p.name == semconv.METRIC_PROMPTS]
        assert [(p.attributes, p.value) for p in points] == [
            ({semconv.PROMPT_OUTCOME: "rejected"}, 1)
        ]
        assert check_declared(captured.records, (), captured.metrics()) == []


def test_prompts_that_never_start_are_forgotten() -> None:
    """A hundred thousand queued and deleted prompts do not stay in memory."""
    with capture(log_level="warning") as captured:
        for number in range(20_000):
            captured.telemetry.recorder.prompt_queued(str(number), number_waiting=0)
        assert len(captured.telemetry.recorder._queue._waiting) == 10_000


class _Breaks:
    """A tracer, stream and instrument that fail at every call."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name} is broken")


def _fail_in_a_node(prompt: PromptRecord) -> None:
    prompt.node_cached("1", "A")
    assert prompt.trace_id == "0" * 32
    with prompt.node("2", "B") as node:
        node.set(**{semconv.DEVICE: object()})
        raise ValueError("mine")


def test_nothing_broken_inside_reaches_the_work() -> None:
    """With every tool of the recorder broken the work runs, its exception passes, losses count."""
    with capture() as captured:
        recorder = captured.telemetry.recorder
        for name in ("tracer", "stream", "instruments", "watch"):
            object.__setattr__(recorder._kit, name, _Breaks())
        recorder.prompt_queued(PROMPT, number_waiting=1)
        recorder.upload_rejected(kind="decode_failed", reason="x")
        recorder.upload_rejected(kind="no such kind", reason="x")
        recorder.prompt_rejected(error_type="t", message="m")
        with (
            pytest.raises(ValueError, match="mine"),
            recorder.prompt(PROMPT, node_count=1) as prompt,
        ):
            _fail_in_a_node(prompt)
        assert captured.telemetry.dropped()["internal_error"] > 3


def test_strange_arguments_are_taken() -> None:
    """Ids and classes of the wrong type or size make small redacted text, not errors."""
    with capture() as captured:
        recorder: Any = captured.telemetry.recorder
        with (
            recorder.prompt(7, node_count=None) as prompt,
            prompt.node(2, "/home/alice/Evil" * 1000) as node,
        ):
            node.set(x=object(), y=b"1")
        assert captured.telemetry.dropped() == {}
        record = captured.record(semconv.EVENT_NODE_FINISHED)
        assert record[semconv.NODE_ID] == "2"
        assert "alice" not in str(record)
        assert len(record[semconv.NODE_CLASS_TYPE]) < 300
