"""Each health check runs for real: it takes a healthy part and refuses a sick one."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import ROOT, load
from tests.support.scripted_http import ScriptedServer, scripted_server

SERVICES: dict[str, dict[str, Any]] = load()["services"]

# What the images hold besides the part itself: Elastic's have bash and curl; ElastAlert2's is
# Debian's slim Python; ours are that too, with `python`; the collector's has the wget that
# compose/collector.Dockerfile adds, and no shell; HAProxy's is Alpine with its busybox; the proxy
# of the engine's socket has one program for its check and nothing else.
COMMANDS = {
    "elasticsearch": {"printf", "cat", "curl"},
    "kibana": {"curl"},
    "agent": {"/usr/bin/wget"},
    "gateway": {"/usr/bin/wget"},
    "notifier": {"python"},
    "receivers": {"python"},
    "service": {"python"},
    "service-gpu": {"python"},
    "service-spare": {"python"},
    "comfyui": {"python"},
    "comfyui-gpu": {"python"},
    "front": {"wget"},
    "resources": {"/usr/bin/wget"},
    "engine": {"./healthcheck"},
    "elastalert2": {"test", "date", "stat"},
    "data": {"test", "date", "stat"},
}


def check(name: str) -> list[str]:
    """Return a service's health check."""
    return list(SERVICES[name]["healthcheck"]["test"])


def status(command: list[str], change: Callable[[str], str]) -> int:
    """Run a check as Docker does, with its addresses changed, and return its exit status."""
    kind, *arguments = [change(part) for part in command]
    argv = ["/bin/sh", "-c", *arguments] if kind == "CMD-SHELL" else arguments
    if argv[0] == "python":
        argv[0] = sys.executable
    if argv[0] == "/usr/bin/wget":
        argv[0] = "wget"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operations")}
    return subprocess.run(argv, env=environment, capture_output=True, check=False).returncode


def can_run(name: str) -> bool:
    """Tell whether this machine has the programs of a check; Python is always there."""
    programs = {Path(program).name for program in COMMANDS[name]} - {"python"}
    return all(map(shutil.which, programs))


def test_every_watched_service_is_in_the_table() -> None:
    """The table of commands names each service that has a check."""
    assert set(COMMANDS) == {name for name, s in SERVICES.items() if "healthcheck" in s}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_check_uses_only_what_the_image_has(name: str) -> None:
    """No command of a check is one that the image may lack."""
    kind, *arguments = check(name)
    if kind == "CMD":
        assert {arguments[0]} == COMMANDS[name]
        return
    (script,) = arguments
    # What begins the line, a pipe's next part or a substitution.
    assert set(re.findall(r"(?:^|\||\$\()\s*([a-z]\S*)", script)) == COMMANDS[name]


PATHS = {
    "elasticsearch": "/_cluster/health",
    "kibana": "/api/status",
    "agent": "/",
    "gateway": "/",
    "notifier": "/healthz",
    "receivers": "/healthz",
    "service": "/readyz",
    "comfyui": "/telemetry/health",
    "front": "/front/healthz",
    "resources": "/",
}


@pytest.mark.parametrize("name", [name for name in PATHS if can_run(name)])
def test_check_follows_the_answer(name: str, tmp_path: Path) -> None:
    """200 is healthy; 503, and nobody who listens, are not."""
    secret = tmp_path / "elastic_password"
    secret.write_text("geheim-0")
    with scripted_server() as server:

        def local(part: str) -> str:
            host, _, _ = part.partition("http://127.0.0.1:")[2].partition("/")
            if host:
                part = part.replace(f"http://127.0.0.1:{host}", server.url)
            return part.replace("/run/secrets/elastic_password", str(secret))

        server.script(f"GET {PATHS[name]}", (200, {}), (503, {}))
        assert status(check(name), local) == 0
        _check_login(name, server)
        assert status(check(name), local) != 0
    assert status(check(name), local) != 0


def _check_login(name: str, server: ScriptedServer) -> None:
    if name == "elasticsearch":
        given = server.asked[0].headers["Authorization"].removeprefix("Basic ")
        assert base64.b64decode(given).decode() == "elastic:geheim-0"


@pytest.mark.parametrize(
    ("name", "file"),
    [("elastalert2", "/tmp/elastalert.ready"), ("data", "/tmp/data.ready")],  # noqa: S108
)
def test_a_part_is_sick_when_its_rounds_stand_still(name: str, file: str, tmp_path: Path) -> None:
    """A fresh file is healthy; one of long ago, and none, are not."""
    ready = tmp_path / "ready"

    def local(part: str) -> str:
        return part.replace(file, str(ready))

    assert status(check(name), local) != 0
    ready.touch()
    assert status(check(name), local) == 0
    past = time.time() - 90
    os.utime(ready, (past, past))
    assert status(check(name), local) != 0
