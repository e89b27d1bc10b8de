"""Which parts a stack has, and what the embedded one does without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier.client import Client
from ddcolor_operations.stack import parts
from ddcolor_operations.stack.config import DEFAULT_PORTS, StackConfig
from ddcolor_operations.stack.parts import build_parts
from ddcolor_operations.toolchain import collectors, elasticsearch


def _refuse(*_: object) -> None:
    raise AssertionError("the embedded stack must not ask for it")


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackConfig:
    """Return an embedded stack's settings on a machine without Java, Maven and Go."""
    for tool in (elasticsearch, collectors):
        monkeypatch.setattr(tool, "ensure", _refuse)
    return StackConfig.create(state=tmp_path, environ={}, embedded=True)


def test_the_embedded_stack_needs_python_alone(embedded: StackConfig) -> None:
    """Service, watcher and notifier, and who sees their death, are all that runs."""
    names = [part.name for part in build_parts(embedded)]

    assert names == ["notifier", "watchdog", "watcher", "service"]


def test_the_embedded_stack_exports_and_links_nothing(embedded: StackConfig) -> None:
    """Without a collector the service exports nothing, and no message links to Kibana."""
    environments = {part.name: part.launch.env for part in build_parts(embedded)}

    assert environments["service"]["OTEL_TRACES_EXPORTER"] == "none"
    assert environments["service"]["OTEL_METRICS_EXPORTER"] == "none"
    assert not [name for name in environments["service"] if "OTLP" in name]
    assert environments["notifier"]["DDCOLOR_NOTIFIER_KIBANA_URL"] == ""


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ({"embedded": True}, {"notifier", "service"}),
        ({"embedded": True, "demo": True}, {"notifier", "service", "receivers", "receivers_smtp"}),
        ({"demo": True}, set(DEFAULT_PORTS)),
        ({}, set(DEFAULT_PORTS) - {"receivers", "receivers_smtp"}),
    ],
)
def test_only_ports_that_are_listened_on_are_asked_for(
    tmp_path: Path, settings: dict[str, Any], ports: set[str]
) -> None:
    """A port of a part that does not run may be taken by somebody else."""
    config = StackConfig.create(state=tmp_path, environ={}, **settings)

    assert set(config.used_ports) == ports


@pytest.mark.parametrize(
    ("settings", "forgotten"),
    [({"embedded": True}, ["elasticsearch"]), ({}, ["watcher"]), ({"watcher": True}, [])],
)
def test_a_way_that_this_stack_lacks_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], forgotten: list[str]
) -> None:
    """A stack that was whole and starts embedded must not be told that its alerting is down."""
    asked: list[str] = []
    monkeypatch.setattr(Client, "forget_path", lambda _, way: asked.append(way))
    config = StackConfig.create(state=tmp_path, environ={}, **settings)
    notifier = parts._notifier(config)
    assert notifier.after_ready is not None
    notifier.after_ready()

    assert asked == forgotten


@pytest.mark.parametrize("name", ["data", "watcher"])
def test_what_an_earlier_stack_touched_is_no_sign_of_health(tmp_path: Path, name: str) -> None:
    """A part is ready when it has said so itself, however soon after a stop it starts."""
    config = StackConfig.create(state=tmp_path, environ={})
    build = {"data": parts._data, "watcher": parts._watcher}[name]
    config.run_dir.mkdir()
    file = config.run_dir / f"{name}.ready"
    file.touch()
    part = build(config)
    assert not part.ready()
    file.touch()
    assert part.ready()
