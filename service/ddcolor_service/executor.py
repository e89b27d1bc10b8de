"""Runs one prompt: node after node, with caching, progress messages and telemetry."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfyui_telemetry import NodeRecord, PromptRecord, Telemetry, classify
from ddcolor_service import graph
from ddcolor_service.cache import NodeOutput, OutputCache, signatures
from ddcolor_service.errors import PromptInterruptedError
from ddcolor_service.execution import CancelToken, NodeRun, entered
from ddcolor_service.messages import Messenger
from ddcolor_service.node_types import NodeType
from ddcolor_service.prompt_queue import Job, Result
from ddcolor_service.report import describe_error, describe_inputs, plain

SCENARIOS = ("person", "building")


class NodeResultError(Exception):
    """A node returned something that is no result of a node."""


@dataclass(slots=True)
class _Run:
    """Everything that belongs to one prompt's execution."""

    job: Job
    order: list[str]
    signatures: dict[str, str]
    cancel: CancelToken
    messenger: Messenger
    scenario: str | None
    results: dict[str, NodeOutput] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    ui: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


class PromptExecutor:
    """Used by the worker thread alone.

    ``files_of`` turns a node's ``ui`` into the paths it names; ``free_memory`` drops the models.
    """

    def __init__(
        self,
        types: Mapping[str, NodeType],
        telemetry: Telemetry,
        *,
        publish: Callable[[str, dict[str, Any], str | None], None],
        files_of: Callable[[Mapping[str, Any]], tuple[Path, ...]],
        free_memory: Callable[[], None],
        node_hard_limit_s: float = 0.0,
    ) -> None:
        self._types = types
        self._telemetry = telemetry
        self._publish = publish
        self._files_of = files_of
        self._free_memory = free_memory
        self._node_hard_limit_s = node_hard_limit_s
        self._cache = OutputCache()
        self._instances: dict[tuple[str, str], Any] = {}
        self.current_node: str | None = None

    def drop_cache(self) -> None:
        """Forget all outputs of earlier prompts."""
        self._cache.clear()
        self._instances.clear()
        gc.collect()

    def execute(self, job: Job, cancel: CancelToken) -> Result:
        """Run ``job`` to its end, whatever that is; never raises for what a node does."""
        order = graph.order(job.prompt, job.outputs)
        scenario = job.extra_data.get("scenario")
        workflow = job.extra_data.get("workflow_name")
        run = _Run(
            job,
            order,
            signatures(job.prompt, order, self._types),
            cancel,
            Messenger(job.prompt_id, job.client_id, self._publish),
            scenario if scenario in SCENARIOS else None,
        )
        self._cache.keep_only(set(run.signatures.values()))
        with self._telemetry.recorder.prompt(
            job.prompt_id,
            node_count=len(order),
            workflow=workflow if isinstance(workflow, str) else None,
            scenario=run.scenario,
        ) as record:
            run.messenger.start()
            waiting = deque(self._take_cached(run, record))
            try:
                while waiting:
                    self._run_node(run, waiting.popleft(), record)
            except PromptInterruptedError:
                record.interrupted()
                status = "error"
            except _NodeFailedError:
                status = "error"
            else:
                run.messenger.success()
                status = "success"
            for node_id in waiting:
                record.node_skipped(node_id, run.job.prompt[node_id]["class_type"])
        self.current_node = None
        self._prune_instances(run)
        return Result(run.ui, run.meta, status, status == "success", run.messenger.messages)

    # --- caching --------------------------------------------------------------------------------
    def _take_cached(self, run: _Run, record: PromptRecord) -> list[str]:
        """Fill in what the cache knows; return the nodes that must run.

        A node that only cached nodes take from is not needed at all, as in ComfyUI.
        """
        cached = {
            node_id: output
            for node_id in run.order
            if (output := self._cache.get(run.signatures[node_id])) is not None
        }
        needed = self._needed(run, cached)
        run.messenger.cached(list(cached))
        for node_id, output in cached.items():
            run.results[node_id] = output
            record.node_cached(node_id, run.job.prompt[node_id]["class_type"])
            if output.ui is not None and node_id in run.job.outputs:
                self._show(run, node_id, output.ui)
        return [n for n in run.order if n in needed and n not in cached]

    @staticmethod
    def _needed(run: _Run, cached: Mapping[str, NodeOutput]) -> set[str]:
        needed: set[str] = set()
        todo = [output for output in run.job.outputs if output not in cached]
        while todo:
            node_id = todo.pop()
            if node_id in needed:
                continue
            needed.add(node_id)
            todo.extend(
                link.node_id
                for _, link in graph.links_of(run.job.prompt[node_id])
                if link.node_id not in cached
            )
        return needed

    # --- one node -------------------------------------------------------------------------------
    def _run_node(self, run: _Run, node_id: str, record: PromptRecord) -> None:
        class_type = run.job.prompt[node_id]["class_type"]
        twin = self._cache.get(run.signatures[node_id])
        if twin is not None:  # the same work stands twice in this prompt
            run.results[node_id] = twin
            record.node_cached(node_id, class_type)
            if twin.ui is not None:
                self._show(run, node_id, twin.ui)
            return
        self.current_node = node_id
        run.messenger.node_started(node_id)
        inputs: dict[str, list[Any]] = {}
        try:
            with record.node(node_id, class_type) as node:
                try:
                    run.cancel.start_node(self._node_hard_limit_s)
                    run.cancel.check()
                    inputs = self._inputs(run, node_id)
                    output = self._call(run, node_id, inputs, node)
                except PromptInterruptedError:
                    node.interrupted()
                    raise
        except PromptInterruptedError:
            run.messenger.interrupted(node_id, class_type, run.executed)
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  nodes are foreign code
            self._node_failed(run, node_id, class_type, inputs, error)
            inputs.clear()
            raise _NodeFailedError from None
        run.results[node_id] = output
        self._cache.put(run.signatures[node_id], output)
        run.executed.append(node_id)
        if output.ui is not None:
            self._show(run, node_id, output.ui)
        run.messenger.node_finished(node_id)

    def _node_failed(
        self,
        run: _Run,
        node_id: str,
        class_type: str,
        inputs: Mapping[str, list[Any]],
        error: BaseException,
    ) -> None:
        kind = classify(error)
        run.messenger.error(
            node_id,
            class_type,
            run.executed,
            {
                **describe_error(error, kind),
                "current_inputs": describe_inputs(inputs),
                "current_outputs": list(run.results),
            },
        )
        if kind == "out_of_memory":
            # The traceback's frames hold the very tensors that did not leave enough room.
            error.__traceback__ = None
            run.results.clear()
            self.drop_cache()
            self._free_memory()

    def _inputs(self, run: _Run, node_id: str) -> dict[str, list[Any]]:
        """Return each parameter as a list of values, one for each call of the node."""
        node = run.job.prompt[node_id]
        node_type = self._types[node["class_type"]]
        declared = node_type.declared()
        inputs: dict[str, list[Any]] = {}
        for name, value in node["inputs"].items():
            if name not in declared.get("required", {}) and name not in declared.get(
                "optional", {}
            ):
                continue
            link = graph.as_link(value)
            inputs[name] = run.results[link.node_id].slots[link.slot] if link else [value]
        hidden = {
            "PROMPT": run.job.prompt,
            "EXTRA_PNGINFO": run.job.extra_data.get("extra_pnginfo"),
            "UNIQUE_ID": node_id,
        }
        for name, wanted in node_type.hidden().items():
            inputs[name] = [hidden.get(wanted)]
        return inputs

    def _call(
        self, run: _Run, node_id: str, inputs: dict[str, list[Any]], node: NodeRecord
    ) -> NodeOutput:
        class_type = run.job.prompt[node_id]["class_type"]
        node_type = self._types[class_type]
        instance = self._instances.setdefault((node_id, class_type), None)
        if instance is None:
            instance = self._instances[node_id, class_type] = node_type.cls()
        function = getattr(instance, node_type.cls.FUNCTION)
        context = NodeRun(
            run.job.prompt_id,
            node_id,
            class_type,
            run.scenario,
            run.cancel,
            describe=node.set,
            report=lambda value, of: run.messenger.progress(node_id, value, of),
            notice=lambda notice: run.messenger.notice(node_id, notice),
        )
        returned = []
        with entered(context), _inference_mode():
            for arguments in _calls(inputs, as_list=getattr(node_type.cls, "INPUT_IS_LIST", False)):
                run.cancel.check()
                result = function(**arguments)
                returned.append(asyncio.run(result) if inspect.iscoroutine(result) else result)
            run.cancel.check()
        output = _merge(returned, node_type)
        return NodeOutput(output.slots, output.ui, self._files_of(output.ui or {}))

    def _show(self, run: _Run, node_id: str, ui: dict[str, list[Any]]) -> None:
        run.ui[node_id] = ui
        run.meta[node_id] = {
            "node_id": node_id,
            "display_node": node_id,
            "parent_node": None,
            "real_node_id": node_id,
        }
        run.messenger.executed(node_id, ui)

    def _prune_instances(self, run: _Run) -> None:
        kept = {(n, run.job.prompt[n]["class_type"]) for n in run.order}
        self._instances = {key: value for key, value in self._instances.items() if key in kept}


class _NodeFailedError(Exception):
    """A node failed and everything about it has been said."""


@contextlib.contextmanager
def _inference_mode() -> Iterator[None]:
    import torch

    with torch.inference_mode():
        yield


def _calls(inputs: Mapping[str, list[Any]], *, as_list: bool) -> Iterator[dict[str, Any]]:
    """Yield the arguments of each call: shorter lists repeat their last value."""
    if as_list:
        yield dict(inputs)
        return
    if any(not values for values in inputs.values()):
        return
    for i in range(max((len(values) for values in inputs.values()), default=1)):
        yield {name: values[min(i, len(values) - 1)] for name, values in inputs.items()}


def _merge(returned: list[Any], node_type: NodeType) -> NodeOutput:
    """Join what the calls of one node returned: a tuple each, or {"ui", "result"}."""
    width = len(node_type.return_types)
    slots: tuple[list[Any], ...] = tuple([] for _ in range(width))
    ui: dict[str, list[Any]] = {}
    for item in returned:
        shown: Any = {}
        values = item
        if isinstance(item, Mapping):
            if "expand" in item:
                raise NodeResultError("this service does not expand nodes into other nodes")
            shown, values = item.get("ui") or {}, item.get("result", ())
        values = () if values is None else values
        if not isinstance(values, list | tuple) or not isinstance(shown, Mapping):
            raise NodeResultError(f"a node must return a tuple, not {type(item).__name__}")
        if len(values) != width and (values or not node_type.is_output):
            raise NodeResultError(f"the node returned {len(values)} values, it declares {width}")
        for slot, value, is_list in zip(slots, values, node_type.output_is_list, strict=False):
            slot.extend(value) if is_list else slot.append(value)
        for name, entries in shown.items():
            ui.setdefault(str(name), []).extend(plain(list(entries)))
    return NodeOutput(slots, ui or None)
