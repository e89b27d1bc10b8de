"""What the hooks tell of prompts and nodes in a ComfyUI of each era."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from comfyui_telemetry import catalogue, semconv
from comfyui_telemetry.testing import Captured, check_declared
from tests.support.telemetry import span_id
from tests.unit.comfyui.conftest import ASYNC_ERAS, GRAPH_ERAS, Comfy
from tests.unit.comfyui.stories import CHAIN, chain_with, outcomes, said


def _node_span(captured: Captured, node_id: str) -> ReadableSpan:
    found = [
        span for span in captured.spans if (span.attributes or {}).get("comfyui.node.id") == node_id
    ]
    assert len(found) == 1, f"node {node_id} has {len(found)} spans"
    return found[0]


@pytest.mark.usefixtures("hooks")
def test_a_success_is_one_trace_of_its_nodes(comfy: Comfy, captured: Captured) -> None:
    """Each node is one span below the prompt's, in the order of execution, and nothing is said."""
    comfy.run(CHAIN)
    assert outcomes(captured) == [("1", "executed"), ("2", "executed"), ("9", "executed")]
    prompt = captured.span("prompt")
    for node_id in CHAIN:
        parent = _node_span(captured, node_id).parent
        assert parent is not None
        assert parent.span_id == span_id(prompt)
    finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert finished[semconv.PROMPT_OUTCOME] == "success"
    assert finished[semconv.PROMPT_NODE_COUNT] == 3
    assert said(captured) == []
    assert check_declared(captured.records, captured.spans, captured.metrics()) == []
    assert captured.telemetry.dropped() == {}


@pytest.mark.usefixtures("hooks")
def test_a_second_run_is_cached(comfy: Comfy, captured: Captured) -> None:
    """Nodes that ComfyUI never visits are recorded as cached, once, before what runs."""
    comfy.run(CHAIN)
    before = len(captured.events(semconv.EVENT_NODE_FINISHED))
    comfy.run({**CHAIN, "8": {"class_type": "Save", "inputs": {"a": ["2", 0], "b": 2}}}, "p-2")
    told = outcomes(captured)[before:]
    assert sorted(told) == [
        ("1", "cached"), ("2", "cached"), ("8", "executed"), ("9", "cached"),
    ]  # fmt: skip
    assert told[-1] == ("8", "executed")


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize(
    ("class_type", "kind"), [("Fail", "execution_error"), ("OutOfMemory", "out_of_memory")]
)
def test_a_failure_is_said_once(
    comfy: Comfy, captured: Captured, class_type: str, kind: str
) -> None:
    """The failed node's record has the keyword, kind and stack; the prompt's only the kind."""
    comfy.run(chain_with(class_type))
    assert outcomes(captured) == [("1", "executed"), ("2", "failed"), ("9", "skipped")]
    keyword = catalogue.CATALOGUE[kind].keyword
    assert [text.startswith(f"{keyword}: node {class_type} (2): ") for text in said(captured)] == [
        True
    ]
    failed = captured.events(semconv.EVENT_NODE_FINISHED)[1]
    assert failed[semconv.ERROR_KIND] == kind
    assert "raise " in failed[semconv.ERROR_STACK_TRACE]
    finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert finished[semconv.PROMPT_OUTCOME] == "failed"
    assert finished[semconv.ERROR_KIND] == kind


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("class_type", ["Fail", "Interrupt"])
def test_nodes_whose_turn_never_came_are_skipped(
    comfy: Comfy, captured: Captured, class_type: str
) -> None:
    """Those that an output needs, once; not what nobody asked for or what is cached."""
    comfy.run(CHAIN)
    seen = len(outcomes(captured))
    prompt = {
        **chain_with(class_type),
        "3": {"class_type": "Add", "inputs": {"a": ["2", 0], "b": ["1", 0]}},
        "4": {"class_type": "Add", "inputs": {"a": ["2", 0]}},
        "9": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt, "p-2")
    outcome = {"Fail": "failed", "Interrupt": "interrupted"}[class_type]
    assert outcomes(captured)[seen:] == [
        ("1", "cached"), ("2", outcome), ("9", "skipped"), ("3", "skipped"),
    ]  # fmt: skip
    parent = _node_span(captured, "3").parent
    assert parent is not None
    assert parent.span_id == span_id([s for s in captured.spans if s.name == "prompt"][-1])
    assert check_declared(captured.records, captured.spans, captured.metrics()) == []


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_nodes_behind_a_blocker_are_skipped(comfy: Comfy, captured: Captured) -> None:
    """The node that blocks was executed; what gets the blocker was not, and nothing failed."""
    comfy.run({**chain_with("Block"), "3": {"class_type": "Save", "inputs": {"a": ["1", 0]}}})
    assert dict(outcomes(captured)) == {
        "1": "executed", "2": "executed", "9": "skipped", "3": "executed",
    }  # fmt: skip
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "success"
    assert captured.telemetry.dropped() == {}


@pytest.mark.usefixtures("hooks")
def test_an_interrupt_is_no_error(comfy: Comfy, captured: Captured) -> None:
    """Node and prompt are interrupted and no record is above the level info."""
    comfy.run(chain_with("Interrupt"))
    assert outcomes(captured)[1:] == [("2", "interrupted"), ("9", "skipped")]
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "interrupted"
    assert {record["log.level"] for record in captured.records} <= {"debug", "info"}


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_an_expanded_node_holds_its_children(comfy: Comfy, captured: Captured) -> None:
    """The parent is one span, its children lie below it, a cached child output is cached."""
    prompt = {
        "3": {"class_type": "Expand", "inputs": {}},
        "9": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt)
    assert dict(outcomes(captured)) == {
        "3.0.0.3": "cached", "3.0.0.1": "executed", "3.0.0.2": "executed", "3": "executed",
        "9": "executed",
    }  # fmt: skip
    parent = _node_span(captured, "3")
    for node_id in ("3.0.0.1", "3.0.0.2", "3.0.0.3"):
        above = _node_span(captured, node_id).parent
        assert above is not None
        assert above.span_id == span_id(parent)


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_a_failed_child_is_the_node_that_failed(comfy: Comfy, captured: Captured) -> None:
    """ComfyUI names the parent; the record names the child, and the parent failed by it."""
    prompt = {
        "3": {"class_type": "Expand", "inputs": {"last": "Fail"}},
        "9": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    messages = comfy.run(prompt)
    assert messages[-1][1]["node_id"] == "3"
    assert outcomes(captured)[-3:] == [("3.0.0.2", "failed"), ("3", "failed"), ("9", "skipped")]
    assert len(said(captured)) == 1
    assert "node Fail (3.0.0.2)" in said(captured)[0]


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_a_lazy_node_is_one_span(comfy: Comfy, captured: Captured) -> None:
    """A node that is called, waits for its input and is called again ends once."""
    comfy.run(chain_with("Lazy"))
    assert outcomes(captured) == [("1", "executed"), ("2", "executed"), ("9", "executed")]


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_a_lazy_node_whose_input_fails_is_skipped(comfy: Comfy, captured: Captured) -> None:
    """It never did its work, and the failure is its input's alone."""
    prompt = {**chain_with("Lazy"), "1": {"class_type": "Fail", "inputs": {}}}
    comfy.run(prompt)
    assert outcomes(captured) == [("1", "failed"), ("2", "skipped"), ("9", "skipped")]
    assert len(said(captured)) == 1


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", ASYNC_ERAS)
def test_async_nodes_run_side_by_side(comfy: Comfy, captured: Captured) -> None:
    """Each is one span from its first call to its result, and they overlap."""
    prompt = {
        **chain_with("Later"),
        "3": {"class_type": "Later", "inputs": {"b": 1}},
        "8": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt)
    first, second = _node_span(captured, "2"), _node_span(captured, "3")
    assert first.end_time is not None
    assert second.start_time is not None
    assert second.start_time < first.end_time
    assert {outcome for _, outcome in outcomes(captured)} == {"executed"}


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", ASYNC_ERAS)
def test_an_async_node_is_cut_short_by_a_failure_beside_it(
    comfy: Comfy, captured: Captured
) -> None:
    """It is interrupted, the prompt has failed."""
    prompt = {
        **chain_with("MuchLater"),
        "3": {"class_type": "Fail", "inputs": {"b": 1}},
        "8": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt)
    assert outcomes(captured)[-4:] == [
        ("3", "failed"), ("2", "interrupted"), ("9", "skipped"), ("8", "skipped"),
    ]  # fmt: skip
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "failed"


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", ASYNC_ERAS)
def test_a_failure_outside_of_the_nodes_is_taken_from_the_messages(
    comfy: Comfy, captured: Captured
) -> None:
    """A cycle in the graph is no node's call; the executor's message tells it."""
    comfy.run(chain_with("Add", cycle=True))
    finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert finished["message"] == "Execution error: node Add (2): a cycle"
    assert finished[semconv.ERROR_TYPE] == "graph.DependencyCycleError"
    assert finished[semconv.ERROR_KIND] == "execution_error"


@pytest.mark.usefixtures("hooks")
def test_the_model_of_a_ddcolor_node_is_told(comfy: Comfy, captured: Captured) -> None:
    """Checkpoint and size come from the node's inputs; a linked size is unknown."""
    comfy.run(chain_with("DDColor_Colorize", checkpoint="m.pth", model_input_size=512))
    record = captured.events(semconv.EVENT_NODE_FINISHED)[1]
    assert record[semconv.MODEL_NAME] == "m.pth"
    assert record[semconv.MODEL_INPUT_SIZE] == 512


@pytest.mark.usefixtures("hooks")
def test_the_queue_carries_the_callers_trace(comfy: Comfy, captured: Captured) -> None:
    """A prompt put inside a span becomes its child, whatever runs in between."""
    tracer = captured.telemetry.tracer
    with tracer.start_as_current_span("request") as request:
        comfy.queue.put((0, "p-1", CHAIN, {}, ["9"]))
        comfy.queue.put((1, "p-2", CHAIN, {}, ["9"], {}))
    comfy.run(CHAIN)
    prompt = captured.span("prompt")
    assert prompt.parent is not None
    assert prompt.parent.span_id == request.get_span_context().span_id
    assert [r[semconv.QUEUE_DEPTH] for r in captured.events(semconv.EVENT_PROMPT_QUEUED)] == [1, 2]


@pytest.mark.usefixtures("hooks")
def test_a_prompt_that_is_taken_out_of_the_queue_is_told(comfy: Comfy, captured: Captured) -> None:
    """Deleted or wiped away: once each, in the trace of the request that brought it."""
    with captured.telemetry.tracer.start_as_current_span("request") as request:
        for number in range(4):
            comfy.queue.put((number, f"p-{number}", CHAIN, {}, ["9"]))
    assert comfy.queue.delete_queue_item(lambda item: item[1] == "p-2")
    comfy.queue.wipe_queue()
    comfy.queue.put((4, "p-4", CHAIN, {}, ["9"]))
    # The queue wipes away the last one by another of its methods.
    assert comfy.queue.delete_queue_item(lambda item: item[1] == "p-4")
    assert not comfy.queue.delete_queue_item(lambda item: item[1] == "p-4")
    removed = captured.events(semconv.EVENT_PROMPT_REMOVED)
    assert [record[semconv.PROMPT_ID] for record in removed] == ["p-2", "p-0", "p-1", "p-3", "p-4"]
    assert [record[semconv.QUEUE_DEPTH] for record in removed] == [3, 2, 1, 0, 0]
    assert removed[0]["trace_id"] == f"{request.get_span_context().trace_id:032x}"
    assert removed[0][semconv.PROMPT_OUTCOME] == "removed"
    assert captured.telemetry._queue.oldest() is None
    metrics = {m.name: m for m in captured.metrics() if m.name == semconv.METRIC_QUEUE_DEPTH}
    assert metrics[semconv.METRIC_QUEUE_DEPTH].value == 0
    prompts = [m for m in captured.metrics() if m.name == semconv.METRIC_PROMPTS]
    assert [(m.value, m.attributes) for m in prompts] == [(5, {semconv.PROMPT_OUTCOME: "removed"})]


@pytest.mark.usefixtures("hooks")
def test_a_prompt_that_the_worker_takes_is_not_called_removed(
    comfy: Comfy, captured: Captured
) -> None:
    """While something is removed, nobody else can change the queue."""
    comfy.queue.put((0, "p-0", CHAIN, {}, ["9"]))
    comfy.queue.put((1, "p-1", CHAIN, {}, ["9"]))
    workers: list[threading.Thread] = []

    def chosen(item: tuple[Any, ...]) -> bool:
        def take() -> None:
            with comfy.queue.mutex:
                comfy.queue.queue.pop(0)

        if not workers:
            workers.append(threading.Thread(target=take))
            workers[0].start()
            workers[0].join(0.05)
        return bool(item[1] == "p-1")

    comfy.queue.delete_queue_item(chosen)
    workers[0].join()
    assert comfy.queue.queue == []
    (removed,) = captured.events(semconv.EVENT_PROMPT_REMOVED)
    assert removed[semconv.PROMPT_ID] == "p-1"


@pytest.mark.usefixtures("hooks")
def test_a_refused_prompt_is_told_with_its_nodes(comfy: Comfy, captured: Captured) -> None:
    """The answer is unchanged; the record has the type of the error and the first bad node."""
    valid, error, _, _ = comfy.validate({"5": {"class_type": "Save", "inputs": {"bad": 1}}})
    assert (valid, error["type"]) == (False, "prompt_outputs_failed_validation")
    record = captured.record(semconv.EVENT_PROMPT_REJECTED)
    assert record[semconv.ERROR_TYPE] == "prompt_outputs_failed_validation"
    assert (record[semconv.NODE_ID], record[semconv.NODE_CLASS_TYPE]) == ("5", "Save")


@pytest.mark.usefixtures("hooks")
def test_an_output_that_is_left_out_is_told(comfy: Comfy, captured: Captured) -> None:
    """A prompt that is accepted without one of its outputs is no rejection, but a warning."""
    assert comfy.validate({**CHAIN, "5": {"class_type": "Save", "inputs": {"bad": 1}}})[0]
    assert captured.record(semconv.EVENT_OUTPUT_IGNORED)[semconv.NODE_ID] == "5"
    assert captured.events(semconv.EVENT_PROMPT_REJECTED) == []


@pytest.mark.usefixtures("hooks")
def test_a_workflow_in_ui_format_is_a_rejection(comfy: Comfy, captured: Captured) -> None:
    """The validation stumbles over it and ComfyUI answers 500; the fault is the caller's."""
    with pytest.raises(TypeError):
        comfy.validate({"nodes": [], "links": []})
    assert captured.record(semconv.EVENT_PROMPT_REJECTED)[semconv.ERROR_TYPE] == "TypeError"
