"""The hooks in a ComfyUI of each era: placed and taken out, and nothing else changes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from typing import Any

import pytest

from comfyui_telemetry import semconv
from comfyui_telemetry.comfyui.hooks import Hooks, install
from comfyui_telemetry.testing import Captured
from tests.unit.comfyui.conftest import Comfy
from tests.unit.comfyui.eras import common
from tests.unit.comfyui.stories import CHAIN, chain_with, outcomes, said


@pytest.mark.parametrize("class_type", ["Add", "Fail", "Interrupt"])
def test_hooks_change_neither_results_nor_tracebacks(
    comfy: Comfy, captured: Captured, class_type: str
) -> None:
    """ComfyUI's messages, tracebacks in them included, are the same with hooks and without."""

    def run(prompt_id: str) -> list[Any]:
        messages = comfy.run(chain_with(class_type), prompt_id)
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
    assert len(said(captured)) == 1


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
        assert len(outcomes(captured)) == 3
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
        comfy.run(chain_with("Fail"))
        finished = captured.record(semconv.EVENT_PROMPT_FINISHED)
        assert finished["message"] == "Execution error: node Fail (2): broken on purpose"
        assert finished[semconv.ERROR_TYPE] == "ValueError"
        assert outcomes(captured) == []
        comfy.run(chain_with("Interrupt"), "p-2")
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
def test_as_long_a_chain_fits_as_without_hooks(
    comfy: Comfy, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrapper of a function that calls itself takes nothing of the depth that there is."""
    length = sys.getrecursionlimit() // 2
    chain = {
        str(number): {"class_type": "Add", "inputs": {"a": [str(number - 1), 0]}}
        for number in range(1, length)
    }
    chain["0"] = {"class_type": "Number", "inputs": {}}
    # Not in the stand-in's signatures, which recurse as well.
    monkeypatch.setattr(comfy.module, "signature", lambda _, node_id: node_id)
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
