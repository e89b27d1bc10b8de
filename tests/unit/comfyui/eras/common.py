"""What the stand-ins for ComfyUI's ``execution`` module of four eras share.

They have the call shapes that were seen in the real versions (names, parameters, what is returned
and when) and no code of theirs. A node is a function of its inputs; a link is ``[node_id, 0]``.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Prompt = Mapping[str, Any]


class InterruptProcessingException(Exception):  # noqa: N818 - the name is ComfyUI's
    """Somebody stopped the prompt."""


class ExecutionBlocker:
    """What a node returns so that nothing behind it runs."""


class ExecutionResult(enum.Enum):
    """What a call for one node came to."""

    SUCCESS = 0
    FAILURE = 1
    PENDING = 2


@dataclass
class Expansion:
    """What a node returns that stands for other nodes; ``cached`` ones have a result already."""

    nodes: dict[str, Any]
    result: str
    outputs: tuple[str, ...] = ()
    cached: dict[str, Any] = field(default_factory=dict)


def _fail(**_: Any) -> Any:
    raise ValueError("broken on purpose")


def _out_of_memory(**_: Any) -> Any:
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: tried 1 byte")


def _interrupt(**_: Any) -> Any:
    raise InterruptProcessingException


def _expand(**inputs: Any) -> Expansion:
    last = str(inputs.get("last", "Number"))
    nodes = {
        "3.0.0.1": {"class_type": "Number", "inputs": {"value": 1}},
        "3.0.0.2": {"class_type": last, "inputs": {"a": ["3.0.0.1", 0]}},
        "3.0.0.3": {"class_type": "Save", "inputs": {"a": ["3.0.0.1", 0]}},
    }
    return Expansion(nodes, "3.0.0.2", ("3.0.0.3",), {"3.0.0.3": None})


async def _later(**_: Any) -> int:
    await asyncio.sleep(0.02)
    return 5


async def _much_later(**_: Any) -> int:
    await asyncio.sleep(30)
    return 6


NODES: dict[str, Callable[..., Any]] = {
    "Number": lambda **inputs: inputs.get("value", 0),
    "Add": lambda **inputs: sum(value for value in inputs.values() if isinstance(value, int)),
    "Save": lambda **_: None,
    "Fail": _fail,
    "OutOfMemory": _out_of_memory,
    "Interrupt": _interrupt,
    "Expand": _expand,
    "Lazy": lambda **inputs: inputs["a"],
    "Later": _later,
    "MuchLater": _much_later,
    "DDColor_Colorize": lambda **_: 1,
    "Block": lambda **_: ExecutionBlocker(),
}
OUTPUTS = frozenset({"Save"})


def links(node: Mapping[str, Any]) -> dict[str, str]:
    """Return which inputs come from which nodes."""
    return {name: v[0] for name, v in node["inputs"].items() if isinstance(v, list)}


def signature(prompt: Prompt, node_id: str) -> str:
    """Return what a node's result depends on."""
    node = prompt[node_id]
    above = [signature(prompt, link) for link in links(node).values()]
    return json.dumps([node, above], sort_keys=True)


def check(prompt: Prompt) -> tuple[bool, Any, list[str], dict[str, Any]]:
    """Return what ``validate_prompt`` returns: valid, error, good outputs, errors by node."""
    good, errors = [], {}
    for node_id, node in prompt.items():
        if node["class_type"] not in NODES:
            error = {"type": "invalid_prompt", "message": "Node does not exist", "details": "#1"}
            return False, error, [], {}
        if "bad" in node["inputs"]:
            errors[node_id] = {
                "class_type": node["class_type"],
                "dependent_outputs": [node_id],
                "errors": [{"type": "value_not_in_list", "message": "no", "details": "bad: x"}],
            }
        elif node["class_type"] in OUTPUTS:
            good.append(node_id)
    if good:
        return True, None, good, errors
    error = {"type": "prompt_outputs_failed_validation", "message": "Failed", "details": ""}
    return False, error, [], errors


def told(error: Exception, node_id: str) -> dict[str, Any]:
    """Return the details of a failure as ComfyUI gives them."""
    return {
        "node_id": node_id,
        "exception_message": str(error),
        "exception_type": type(error).__name__,
        "traceback": traceback.format_tb(error.__traceback__),
        "current_inputs": {},
    }


class Server:
    """A server without a client."""

    client_id: str | None = None

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None:
        """Send nothing."""


class Messages:
    """An executor's messages, which it keeps whether or not a client listens."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.success = True
        self.status_messages: list[tuple[str, dict[str, Any]]] = []

    def say(self, event: str, **data: Any) -> None:
        """Add a message with its time in milliseconds."""
        self.status_messages.append((event, {**data, "timestamp": int(time.time() * 1000)}))

    def say_error(self, prompt_id: str, class_type: str, details: Any, error: Any) -> None:
        """Add the message of a failure or of an interrupt."""
        self.success = False
        data = {**details, "prompt_id": prompt_id, "node_type": class_type}
        interrupted = isinstance(error, InterruptProcessingException)
        self.say("execution_interrupted" if interrupted else "execution_error", **data)


class Graph:
    """A prompt that grows: what ComfyUI calls its dynamic prompt."""

    def __init__(self, prompt: Prompt) -> None:
        self.nodes = dict(prompt)
        self.parents: dict[str, str] = {}
        self.weak = {n: set(links(v)) for n, v in prompt.items() if v["class_type"] == "Lazy"}

    def get_node(self, node_id: str) -> Any:
        """Return a node."""
        return self.nodes[node_id]

    def get_parent_node_id(self, node_id: str) -> str | None:
        """Return the node that was expanded into this one."""
        return self.parents.get(node_id)

    def real(self, node_id: str) -> str:
        """Return the node of the sent prompt that this one stands in."""
        return self.real(self.parents[node_id]) if node_id in self.parents else node_id

    def next_node(self, wanted: list[str], outputs: Mapping[str, Any], busy: Any) -> str | None:
        """Return a node that can run, depth first; None if all that is left is busy."""
        for node_id in wanted:
            if node_id in busy:
                continue
            needs = [
                link
                for name, link in links(self.nodes[node_id]).items()
                if link not in outputs and name not in self.weak.get(node_id, ())
            ]
            found = self.next_node(needs, outputs, busy) if needs else node_id
            if found is not None:
                return found
        return None


def step(
    graph: Graph,
    outputs: dict[str, Any],
    node_id: str,
    executed: set[str],
    pending: dict[str, Any],
    tasks: dict[str, Any],
    wanted: list[str],
) -> tuple[ExecutionResult, Any, Any]:
    """Do the work of one ``execute`` call."""
    if node_id in outputs:
        return ExecutionResult.SUCCESS, None, None
    node = graph.get_node(node_id)
    try:
        if node_id in tasks:
            value = tasks.pop(node_id).result()
        elif node_id in pending:
            value = outputs[pending.pop(node_id)]
        elif graph.weak.pop(node_id, None):
            return ExecutionResult.PENDING, None, None
        else:
            inputs = {**node["inputs"], **{n: outputs[v] for n, v in links(node).items()}}
            blockers = [v for v in inputs.values() if isinstance(v, ExecutionBlocker)]
            value = blockers[0] if blockers else NODES[node["class_type"]](**inputs)
            if isinstance(value, Expansion):
                graph.nodes.update(value.nodes)
                graph.parents.update(dict.fromkeys(value.nodes, node_id))
                outputs.update(value.cached)
                pending[node_id] = value.result
                wanted[:0] = [*value.outputs, value.result]
                return ExecutionResult.PENDING, None, None
            if inspect.iscoroutine(value):
                tasks[node_id] = asyncio.ensure_future(value)
                return ExecutionResult.PENDING, None, None
    except InterruptProcessingException as error:
        return ExecutionResult.FAILURE, {"node_id": graph.real(node_id)}, error
    except Exception as error:  # noqa: BLE001 - a node's own code
        return ExecutionResult.FAILURE, told(error, graph.real(node_id)), error
    outputs[node_id] = value
    executed.add(node_id)
    return ExecutionResult.SUCCESS, None, None


class PromptQueue:
    """The queue: a list of tuples with the prompt's id in second place."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.queue: list[tuple[Any, ...]] = []
        self.mutex = threading.RLock()

    def put(self, item: tuple[Any, ...]) -> None:
        """Add a prompt."""
        self.queue.append(item)

    def wipe_queue(self) -> None:
        """Forget all."""
        with self.mutex:
            self.queue = []

    def delete_queue_item(self, function: Callable[[Any], bool]) -> bool:
        """Forget the first that fits."""
        with self.mutex:
            for item in self.queue:
                if function(item):
                    if len(self.queue) == 1:
                        self.wipe_queue()
                    else:
                        self.queue.remove(item)
                    return True
            return False
