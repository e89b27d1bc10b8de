"""Which nodes an ``ExecutionBlocker`` keeps from running, with lists of values."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from comfyui_telemetry.comfyui.blocked import is_behind_blocker
from tests.unit.comfyui.eras.common import ExecutionBlocker

B = ExecutionBlocker()


@pytest.fixture(autouse=True)
def _comfyui(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.SimpleNamespace(ExecutionBlocker=ExecutionBlocker)
    listed = types.SimpleNamespace(INPUT_IS_LIST=True)
    nodes = types.SimpleNamespace(NODE_CLASS_MAPPINGS={"Listed": listed, "Plain": object})
    monkeypatch.setitem(sys.modules, "execution", module)
    monkeypatch.setitem(sys.modules, "nodes", nodes)
    monkeypatch.setitem(sys.modules, "comfyui_version", types.SimpleNamespace())


def _asked(columns: dict[str, Any], class_type: str = "Plain", **inputs: Any) -> bool:
    links = {f"from_{source}": [source, 0] for source in columns}
    node = {"class_type": class_type, "inputs": {"text": "x", **links, **inputs}}
    caches = types.SimpleNamespace(outputs={source: [column] for source, column in columns.items()})
    return is_behind_blocker("9", node, caches, None)


@pytest.mark.parametrize(
    ("columns", "blocked"),
    [
        ({}, False),
        ({"1": [5]}, False),
        ({"1": [B]}, True),
        ({"1": [B], "2": [5]}, True),
        ({"1": [B, B]}, True),
        ({"1": [B, 5]}, False),
        ({"1": [B, 5], "2": [5, B]}, True),
        ({"1": [1, 2, 3], "2": [5, B]}, False),
        ({"1": [1, 2, 3], "2": [B]}, True),
        ({"1": []}, False),
        ({"1": [], "2": [B]}, True),
        ({"1": None}, False),
        ({"1": "text"}, False),
    ],
)
def test_a_node_is_skipped_if_none_of_its_calls_can_run(
    columns: dict[str, Any], blocked: bool
) -> None:
    """One call for each item; the last item of a shorter list is used again."""
    assert _asked(columns) is blocked


def test_a_node_that_takes_lists_is_called_once_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One blocker among the items is enough; early versions called it all the same."""
    assert _asked({"1": [5, B]}, "Listed")
    assert not _asked({"1": [5, 5]}, "Listed")
    monkeypatch.delitem(sys.modules, "comfyui_version")
    assert not _asked({"1": [5, B]}, "Listed")


@pytest.mark.parametrize(
    "inputs", [{"a": ["gone", 0]}, {"a": ["1", 7]}, {"a": ["1", "x"]}, {"a": [["1"], 0]}]
)
def test_odd_links_block_nothing(inputs: dict[str, Any]) -> None:
    """A result that is gone, an output that is not there, a list that is no link."""
    assert not _asked({"1": [5]}, **inputs)


def test_a_version_without_blockers_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked up there."""
    monkeypatch.setitem(sys.modules, "execution", types.SimpleNamespace())
    assert not is_behind_blocker("9", {"inputs": {"a": ["1", 0]}}, None, None)
