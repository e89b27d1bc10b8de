"""Prompts for the stand-ins of ComfyUI, and what was told of them."""

from __future__ import annotations

from typing import Any

from comfyui_telemetry import catalogue, semconv
from comfyui_telemetry.testing import Captured

CHAIN: dict[str, Any] = {
    "1": {"class_type": "Number", "inputs": {"value": 4}},
    "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": 1}},
    "9": {"class_type": "Save", "inputs": {"a": ["2", 0]}},
}


def chain_with(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Return the chain with another node in its middle."""
    node = {"class_type": class_type, "inputs": {"a": ["1", 0], **inputs}}
    return {**CHAIN, "2": node}


def outcomes(captured: Captured) -> list[tuple[str, str]]:
    """Return node and outcome of each node that has finished, in order."""
    return [
        (record[semconv.NODE_ID], record[semconv.NODE_OUTCOME])
        for record in captured.events(semconv.EVENT_NODE_FINISHED)
    ]


def said(captured: Captured) -> list[str]:
    """Return the messages that carry a keyword of the catalogue."""
    keywords = [kind.keyword for kind in catalogue.CATALOGUE.values()]
    return [r["message"] for r in captured.records if any(k in r["message"] for k in keywords)]
