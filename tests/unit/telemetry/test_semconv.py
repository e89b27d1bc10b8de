"""The declarations of names, the page made of them, and the catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comfyui_telemetry import semconv
from comfyui_telemetry.catalogue import CATALOGUE
from comfyui_telemetry.semconv_docs import render
from comfyui_telemetry.testing import Measurement, check_declared

_PAGE = Path(__file__).parents[3] / "docs" / "semantic-conventions.md"
_TYPES: dict[str, type] = {"string": str, "int": int, "double": float, "boolean": bool}


def test_the_page_is_in_step() -> None:
    """docs/semantic-conventions.md is what semconv_docs makes now."""
    assert _PAGE.read_text(encoding="utf-8") == render(), (
        "run: python -m comfyui_telemetry.semconv_docs > docs/semantic-conventions.md"
    )


@pytest.mark.parametrize("attribute", semconv.ATTRIBUTES.values(), ids=lambda a: a.name)
def test_an_attribute_is_declared_whole(attribute: semconv.Attribute) -> None:
    """Name in dotted lower case, a meaning that is a sentence, an example of the type."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", attribute.name)
    assert attribute.brief.endswith((".", "…"))
    if attribute.type == "string[]":
        assert isinstance(attribute.example, tuple)
    else:
        assert type(attribute.example) is _TYPES[attribute.type]


def test_constants_and_declarations_are_the_same_set() -> None:
    """Each name has one constant, and each constant is declared."""
    constants = {
        name: value
        for name, value in vars(semconv).items()
        if name.isupper() and isinstance(value, str)
    }
    for prefix, declared in (("EVENT_", semconv.EVENTS), ("METRIC_", semconv.METRICS)):
        found = [
            value
            for name, value in constants.items()
            if name.startswith(prefix) and name != "EVENT_NAME"
        ]
        assert sorted(found) == sorted(declared)
    attributes = [
        value
        for name, value in constants.items()
        if name == "EVENT_NAME" or not name.startswith(("EVENT_", "METRIC_"))
    ]
    assert sorted(attributes) == sorted(semconv.ATTRIBUTES)


def test_keywords_are_told_apart() -> None:
    """No keyword stands in another, so one message has one kind."""
    keywords = [kind.keyword.lower() for kind in CATALOGUE.values()]
    assert not [
        (one, other) for one in keywords for other in keywords if one != other and one in other
    ]


def test_undeclared_and_wrongly_typed_names_are_found() -> None:
    """Records and measurements with wrong names, types, events or units are all listed."""
    records = [
        {
            "@timestamp": "x",
            "message": "m",
            "event.name": "no.such.event",
            semconv.IMAGE_WIDTH: True,
            semconv.NODE_DURATION: 3,
            "nowhere": 1,
        }
    ]
    metrics = [
        Measurement("no.such.metric", "s", {}, 1.0, None),
        Measurement(semconv.METRIC_QUEUE_WAIT, "ms", {"nowhere": 1}, 1.0, 1),
    ]
    assert len(check_declared(records, (), metrics)) == 7
