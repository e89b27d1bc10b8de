"""docs/service.md says what the service really has: settings, routes, kinds, faults, nodes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_service.faults import FaultName
from ddcolor_service.notices import NOTICES
from ddcolor_service.settings import Settings
from tests.support.service import Harness

GUIDE = Path(__file__).parents[3] / "docs" / "service.md"
# What the chain around the service reports, not the service.
ELSEWHERE = {"service_down"} | {n for n, kind in CATALOGUE.items() if kind.user_action is None}


@pytest.fixture(scope="module")
def guide() -> str:
    """Return the guide's text."""
    return GUIDE.read_text("utf-8")


def section(guide: str, title: str) -> str:
    """Return what stands below a heading."""
    return guide.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def shown(name: str, value: Any) -> str:
    """Return a default as the guide writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if name.endswith("_bytes"):
        return f"{value} ({value >> 20} MiB)"
    return "none" if value in (None, "", ()) else str(value).removesuffix(".0")


def test_settings(guide: str) -> None:
    """The table names every setting with its default and the words of --help."""
    rows = [
        f"| `{item.name}` | {shown(item.name, getattr(Settings(), item.name))}"
        f" | {item.metadata['help']} |"
        for item in dataclasses.fields(Settings)
        if "secret" not in item.metadata
    ]
    found = [line for line in section(guide, "Settings").splitlines() if line.startswith("| `")]
    assert found == rows, "the table should read:\n" + "\n".join(rows)


async def test_routes(guide: str, service: Harness) -> None:
    """Every route that the application has is in the guide, and no other."""
    app = service.client.app
    assert app is not None
    routes = {
        f"{route.method} {route.resource.canonical}"
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    written = set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", guide))
    assert written - {"GET /page/..."} == {r for r in routes if not re.search(" /(api|page)/", r)}


def test_kinds(guide: str) -> None:
    """Every kind that the service can answer is explained."""
    rows = section(guide, "When something is refused or fails").partition("| kind |")[2]
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]*) \|", rows, re.MULTILINE)))
    assert sorted(named) == sorted(set(CATALOGUE) - ELSEWHERE)


def test_faults(guide: str) -> None:
    """Every fault of a drill is named."""
    assert [f for f in get_args(FaultName) if f"`{f}`" not in section(guide, "Admin API")] == []


def test_notices(guide: str) -> None:
    """Every notice is named with its values, and no other."""
    text = section(guide, "Restore a photo by API").partition("| `notice` |")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE)
    written = {name: set(re.findall(r"`(\w+)`", values)) for name, values in rows}
    assert written == {n: set(re.findall(r"{(\w+)}", text)) for n, text in NOTICES.items()}


async def test_nodes(guide: str, service: Harness) -> None:
    """Every node of our own is named."""
    text = section(guide, "Restore a photo by API")
    assert [name for name in service.service.types if not re.search(rf"\b{name}\b", text)] == []
