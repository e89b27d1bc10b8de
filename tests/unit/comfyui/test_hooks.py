"""The hooks in a ComfyUI of each era: what is recorded, and that nothing else changes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from comfyui_telemetry import catalogue, semconv
from comfyui_telemetry.comfyui.hooks import Hooks, install
from comfyui_telemetry.testing import Captured, check_declared
from tests.support.telemetry import span_id
from tests.unit.comfyui.conftest import ASYNC_ERAS, GRAPH_ERAS, Comfy
from tests.unit.comfyui.eras import common

CHAIN: dict[str, Any] = {
    "1": {"class_type": "Number", "inputs": {"value": 4}},
    "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": 1}},
    "9": {"class_type": "Save", "inputs": {"a": ["2", 0]}},
}


def _with(class_type: str, **inputs: Any) -> dict[str, Any]:
    node = {"class_type": class_type, "inputs": {"a": ["1", 0], **inputs}}
    return {**CHAIN, "2": node}


def _outcomes(captured: Captured) -> list[tuple[str, str]]:
    return [
        (record[semconv.NODE_ID], record[semconv.NODE_OUTCOME])
        for record in captured.events(semconv.EVENT_NODE_FINISHED)
    ]


def _node_span(captured: Captured, node_id: str) -> ReadableSpan:
    found = [
        span for span in captured.spans if (span.attributes or {}).get("comfyui.node.id") == node_id
    ]
    assert len(found) == 1, f"node {node_id} has {len(found)} spans"
    return found[0]


def _said(captured: Captured) -> list[str]:
    keywords = [kind.keyword for kind in catalogue.CATALOGUE.values()]
    return [r["message"] for r in captured.records if any(k in r["message"] for k in keywords)]


@pytest.mark.usefixtures("hooks")
def test_a_success_is_one_trace_of_its_nodes(comfy: Comfy, captured: Captured) -> None:
    """Each node is one span below the prompt's, in the order of execution, and nothing is said."""
    comfy.run(CHAIN)
    assert _outcomes(captured) == [("1", "executed"), ("2", "executed"), ("9", "executed")]
    prompt = captured.span("prompt")
    for node_id in CHAIN:
        parent = _node_span(captured, node_id).parent
        assert parent is not None
        assert parent.span_id == span_id(prompt)
    finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert finished[semconv.PROMPT_OUTCOME] == "success"
    assert finished[semconv.PROMPT_NODE_COUNT] == 3
    assert _said(captured) == []
    assert check_declared(captured.records, captured.spans, captured.metrics()) == []
    assert captured.telemetry.dropped() == {}


@pytest.mark.usefixtures("hooks")
def test_a_second_run_is_cached(comfy: Comfy, captured: Captured) -> None:
    """Nodes that ComfyUI never visits are recorded as cached, once, before what runs."""
    comfy.run(CHAIN)
    before = len(captured.events(semconv.EVENT_NODE_FINISHED))
    comfy.run({**CHAIN, "8": {"class_type": "Save", "inputs": {"a": ["2", 0], "b": 2}}}, "p-2")
    outcomes = _outcomes(captured)[before:]
    assert sorted(outcomes) == [
        ("1", "cached"), ("2", "cached"), ("8", "executed"), ("9", "cached"),
    ]  # fmt: skip
    assert outcomes[-1] == ("8", "executed")


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize(
    ("class_type", "kind"), [("Fail", "execution_error"), ("OutOfMemory", "out_of_memory")]
)
def test_a_failure_is_said_once(
    comfy: Comfy, captured: Captured, class_type: str, kind: str
) -> None:
    """The failed node's record has the keyword, kind and stack; the prompt's only the kind."""
    comfy.run(_with(class_type))
    assert _outcomes(captured) == [("1", "executed"), ("2", "failed"), ("9", "skipped")]
    keyword = catalogue.CATALOGUE[kind].keyword
    assert [text.startswith(f"{keyword}: node {class_type} (2): ") for text in _said(captured)] == [
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
    seen = len(_outcomes(captured))
    prompt = {
        **_with(class_type),
        "3": {"class_type": "Add", "inputs": {"a": ["2", 0], "b": ["1", 0]}},
        "4": {"class_type": "Add", "inputs": {"a": ["2", 0]}},
        "9": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt, "p-2")
    outcome = {"Fail": "failed", "Interrupt": "interrupted"}[class_type]
    assert _outcomes(captured)[seen:] == [
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
    comfy.run({**_with("Block"), "3": {"class_type": "Save", "inputs": {"a": ["1", 0]}}})
    assert dict(_outcomes(captured)) == {
        "1": "executed", "2": "executed", "9": "skipped", "3": "executed",
    }  # fmt: skip
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "success"
    assert captured.telemetry.dropped() == {}


@pytest.mark.usefixtures("hooks")
def test_an_interrupt_is_no_error(comfy: Comfy, captured: Captured) -> None:
    """Node and prompt are interrupted and no record is above the level info."""
    comfy.run(_with("Interrupt"))
    assert _outcomes(captured)[1:] == [("2", "interrupted"), ("9", "skipped")]
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "interrupted"
    assert {record["log.level"] for record in captured.records} <= {"debug", "info"}


@pytest.mark.parametrize("class_type", ["Add", "Fail", "Interrupt"])
def test_hooks_change_neither_results_nor_tracebacks(
    comfy: Comfy, captured: Captured, class_type: str
) -> None:
    """ComfyUI's messages, tracebacks in them included, are the same with hooks and without."""

    def run(prompt_id: str) -> list[Any]:
        messages = comfy.run(_with(class_type), prompt_id)
        return [
            (name, {k: v for k, v in data.items() if k not in ("timestamp", "prompt_id")})
            for name, data in messages
        ]

    plain = run("p-1")
    comfy.executor = comfy.module.PromptExecutor(common.Server())
    placed = install(captured.telemetry)
    try:
        assert run("p-2") == plain
    finally:
        placed.uninstall()


@pytest.mark.usefixtures("hooks")
def test_an_error_of_the_executor_passes_without_our_frames(
    comfy: Comfy, captured: Captured
) -> None:
    """What the executor itself raises leaves unchanged, is recorded, and shows no wrapper."""
    with pytest.raises(TypeError) as caught:
        comfy.executor.execute({"1": None}, "p-1", {}, ["1"])
    files = [frame.filename for frame in traceback.extract_tb(caught.tb)]
    assert not [name for name in files if "comfyui_telemetry" in name]
    finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert finished[semconv.PROMPT_OUTCOME] == "failed"
    assert len(_said(captured)) == 1


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_an_expanded_node_holds_its_children(comfy: Comfy, captured: Captured) -> None:
    """The parent is one span, its children lie below it, a cached child output is cached."""
    prompt = {
        "3": {"class_type": "Expand", "inputs": {}},
        "9": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt)
    assert dict(_outcomes(captured)) == {
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
    assert _outcomes(captured)[-3:] == [("3.0.0.2", "failed"), ("3", "failed"), ("9", "skipped")]
    assert len(_said(captured)) == 1
    assert "node Fail (3.0.0.2)" in _said(captured)[0]


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_a_lazy_node_is_one_span(comfy: Comfy, captured: Captured) -> None:
    """A node that is called, waits for its input and is called again ends once."""
    comfy.run(_with("Lazy"))
    assert _outcomes(captured) == [("1", "executed"), ("2", "executed"), ("9", "executed")]


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", GRAPH_ERAS)
def test_a_lazy_node_whose_input_fails_is_skipped(comfy: Comfy, captured: Captured) -> None:
    """It never did its work, and the failure is its input's alone."""
    prompt = {**_with("Lazy"), "1": {"class_type": "Fail", "inputs": {}}}
    comfy.run(prompt)
    assert _outcomes(captured) == [("1", "failed"), ("2", "skipped"), ("9", "skipped")]
    assert len(_said(captured)) == 1


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", ASYNC_ERAS)
def test_async_nodes_run_side_by_side(comfy: Comfy, captured: Captured) -> None:
    """Each is one span from its first call to its result, and they overlap."""
    prompt = {
        **_with("Later"),
        "3": {"class_type": "Later", "inputs": {"b": 1}},
        "8": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt)
    first, second = _node_span(captured, "2"), _node_span(captured, "3")
    assert first.end_time is not None
    assert second.start_time is not None
    assert second.start_time < first.end_time
    assert {outcome for _, outcome in _outcomes(captured)} == {"executed"}


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", ASYNC_ERAS)
def test_an_async_node_is_cut_short_by_a_failure_beside_it(
    comfy: Comfy, captured: Captured
) -> None:
    """It is interrupted, the prompt has failed."""
    prompt = {
        **_with("MuchLater"),
        "3": {"class_type": "Fail", "inputs": {"b": 1}},
        "8": {"class_type": "Save", "inputs": {"a": ["3", 0]}},
    }
    comfy.run(prompt)
    assert _outcomes(captured)[-4:] == [
        ("3", "failed"), ("2", "interrupted"), ("9", "skipped"), ("8", "skipped"),
    ]  # fmt: skip
    assert captured.record(semconv.EVENT_PROMPT_FINISHED)[semconv.PROMPT_OUTCOME] == "failed"


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("era", ASYNC_ERAS)
def test_a_failure_outside_of_the_nodes_is_taken_from_the_messages(
    comfy: Comfy, captured: Captured
) -> None:
    """A cycle in the graph is no node's call; the executor's message tells it."""
    comfy.run(_with("Add", cycle=True))
    finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
    assert finished["message"] == "Execution error: node Add (2): a cycle"
    assert finished[semconv.ERROR_TYPE] == "graph.DependencyCycleError"
    assert finished[semconv.ERROR_KIND] == "execution_error"


@pytest.mark.usefixtures("hooks")
def test_the_model_of_a_ddcolor_node_is_told(comfy: Comfy, captured: Captured) -> None:
    """Checkpoint and size come from the node's inputs; a linked size is unknown."""
    comfy.run(_with("DDColor_Colorize", checkpoint="m.pth", model_input_size=512))
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
    comfy.queue.delete_queue_item(lambda item: item[1] == "p-2")
    comfy.run(CHAIN)
    prompt = captured.span("prompt")
    assert prompt.parent is not None
    assert prompt.parent.span_id == request.get_span_context().span_id
    assert [r[semconv.QUEUE_DEPTH] for r in captured.events(semconv.EVENT_PROMPT_QUEUED)] == [1, 2]
    comfy.queue.wipe_queue()
    depth = [m.value for m in captured.metrics() if m.name == semconv.METRIC_QUEUE_DEPTH]
    assert depth == [0]


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


def test_uninstall_restores_every_attribute(comfy: Comfy, captured: Captured) -> None:
    """What was replaced is what it was, and a later run leaves no record."""
    owners: list[Any] = [comfy.module, comfy.module.PromptExecutor, comfy.module.PromptQueue]
    before = [dict(vars(owner)) for owner in owners]
    app, routes = comfy.server.PromptServer.instance.app, comfy.server.PromptServer.instance.routes
    placed = install(captured.telemetry)
    assert placed.missing == {}
    assert [dict(vars(owner)) for owner in owners] != before
    assert len(app.middlewares) == len(routes) == 1
    assert placed.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before
    assert len(app.middlewares) == len(routes) == 0
    comfy.run(CHAIN)
    assert captured.events(semconv.EVENT_PROMPT_STARTED) == []


def test_another_packs_wrapper_stays(
    comfy: Comfy, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours cannot leave from under it, so it stays and records nothing."""
    owner = comfy.module.PromptExecutor
    monkeypatch.setattr(owner, "execute", owner.execute)
    placed = install(captured.telemetry)
    ours = owner.execute

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    owner.execute = theirs
    assert not placed.uninstall()
    assert owner.execute is theirs
    comfy.run(CHAIN)
    assert comfy.executor.success
    assert captured.events(semconv.EVENT_PROMPT_STARTED) == []


def test_a_hook_without_its_place_is_left_out(
    comfy: Comfy, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each missing one is said with what is lost; the others work."""
    monkeypatch.delattr(comfy.module, "PromptQueue")
    monkeypatch.delattr(comfy.module, "validate_prompt")
    comfy.server.PromptServer.instance = None
    placed = install(captured.telemetry)
    try:
        assert set(placed.missing) == {"queue", "validation", "requests", "health"}
        said = captured.events(semconv.EVENT_HOOK_MISSING)
        assert sorted(record[semconv.HOOK_NAME] for record in said) == sorted(placed.missing)
        comfy.run(CHAIN)
        assert len(_outcomes(captured)) == 3
    finally:
        placed.uninstall()


def test_without_the_node_hook_prompts_are_still_told(comfy: Comfy, captured: Captured) -> None:
    """Outcome and failed node come from the executor's messages."""
    name = "recursive_execute" if comfy.era == "before_2024_08" else "execute"
    hidden = getattr(comfy.module, name)
    delattr(comfy.module, name)
    placed = install(captured.telemetry)
    setattr(comfy.module, name, hidden)
    try:
        comfy.run(_with("Fail"))
        finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
        assert finished["message"] == "Execution error: node Fail (2): broken on purpose"
        assert finished[semconv.ERROR_TYPE] == "ValueError"
        assert _outcomes(captured) == []
        comfy.run(_with("Interrupt"), "p-2")
        last = captured.events(semconv.EVENT_PROMPT_FINISHED)[-1]
        assert last[semconv.PROMPT_OUTCOME] == "interrupted"
    finally:
        placed.uninstall()


def test_a_broken_recorder_breaks_nothing(
    comfy: Comfy, captured: Captured, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ComfyUI runs on, and the failure of telemetry is counted."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("telemetry is broken")

    recorder = captured.telemetry.recorder
    for name in ("prompt", "prompt_queued", "prompt_rejected"):
        monkeypatch.setattr(recorder, name, broken)
    comfy.queue.put((0, "p-1", CHAIN, {}, ["9"]))
    comfy.run(CHAIN)
    assert comfy.executor.success
    assert comfy.validate({"5": {"class_type": "Save", "inputs": {"bad": 1}}})[0] is False
    assert captured.telemetry.dropped()["internal_error"] == 3
    assert hooks.active


def test_unexpected_arguments_break_nothing(
    comfy: Comfy, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later version may call with other parameters: they are passed on as they came."""
    name = "recursive_execute" if comfy.era == "before_2024_08" else "execute"
    seen: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []

    def later(*args: Any, **kwargs: Any) -> str:
        seen.append((args, kwargs))
        return "something else"

    monkeypatch.setattr(comfy.module, name, later)
    placed = install(captured.telemetry)
    try:
        result = getattr(comfy.module, name)("only one", new=True)
        assert result == "something else"
        assert seen == [(("only one",), {"new": True})]
    finally:
        placed.uninstall()


@pytest.mark.parametrize("era", ["before_2024_08"])
def test_as_long_a_chain_fits_as_without_hooks(comfy: Comfy, captured: Captured) -> None:
    """The wrapper of a function that calls itself takes nothing of the depth that there is."""
    length = sys.getrecursionlimit() // 2
    chain = {
        str(number): {"class_type": "Add", "inputs": {"a": [str(number - 1), 0]}}
        for number in range(1, length)
    }
    chain["0"] = {"class_type": "Number", "inputs": {}}
    # Not in the stand-in's signatures, which recurse as well.
    comfy.module.signature = lambda _, node_id: node_id
    placed = install(captured.telemetry)
    limit = sys.getrecursionlimit()
    try:
        comfy.executor.execute(chain, "p-1", {}, [str(length - 1)])
        assert comfy.executor.success
    finally:
        assert placed.uninstall()
    assert sys.getrecursionlimit() == limit // 2


def test_outside_of_comfyui_nothing_is_placed(captured: Captured) -> None:
    """A process without ComfyUI's modules gets warnings, not an error."""
    placed = install(captured.telemetry)
    assert placed.active == {}
    assert {"nodes", "prompts", "queue", "validation", "requests"} <= set(placed.missing)
    assert placed.uninstall()


def test_a_second_install_is_the_first(comfy: Comfy, captured: Captured, hooks: Hooks) -> None:
    """A pack that is there twice wraps once."""
    before = comfy.module.PromptExecutor.execute
    assert install(captured.telemetry) is hooks
    assert comfy.module.PromptExecutor.execute is before
