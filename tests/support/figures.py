"""Figures as plotly's own schema sees them."""

from __future__ import annotations

from typing import Any

from plotly import graph_objects  # type: ignore[import-untyped]


def checked(figure: dict[str, Any]) -> None:
    """Raise ValueError for a property that plotly does not know, or a value that it does not take.

    Colours are variables of the page's style, which the page puts in before plotly.js sees them.
    """
    graph_objects.Figure(_coloured(figure))


def _coloured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _coloured(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_coloured(item) for item in value]
    return "#000" if isinstance(value, str) and value.startswith("--") else value
