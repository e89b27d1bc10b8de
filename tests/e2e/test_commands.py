"""The commands of every day, as a person types them: up, status, logs, down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ddcolor_operations.layout import project_root
from ddcolor_operations.stack.config import DEFAULT_PORTS
from tests.support.stacks import free_config

pytestmark = pytest.mark.timeout(240)


def obs(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in the checkout."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("ddcolor-obs")), *arguments],
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start the embedded stack in the background, and stop it whatever happens."""
    folder = tmp_path_factory.mktemp("up")
    offset = free_config(folder, embedded=True).port_offset
    begun = obs("up", "-d", "--embedded", "--state", str(folder), "--port-offset", str(offset))
    assert begun.returncode == 0, begun.stderr + begun.stdout
    assert f"http://127.0.0.1:{DEFAULT_PORTS['service'] + offset}/" in begun.stdout
    yield folder
    obs("down", "--state", str(folder))


def test_status_tells_each_part(state: Path) -> None:
    """Every part is healthy, for people and for scripts; the service answers where it says."""
    assert "ready" in obs("status", "--state", str(state)).stdout
    told = json.loads(obs("status", "--state", str(state), "--json").stdout)
    parts = {part["name"]: part for part in told["parts"]}
    assert {"service", "notifier", "watcher"} <= set(parts)
    assert all(part["healthy"] for part in parts.values())
    port = parts["service"]["port"]
    assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200


def test_up_again_says_that_it_runs(state: Path) -> None:
    """A second start changes nothing and names what to do."""
    again = obs("up", "-d", "--embedded", "--state", str(state))
    assert again.returncode != 0
    assert "down" in again.stderr
    assert json.loads(obs("status", "--state", str(state), "--json").stdout)["parts"]


def test_logs_show_what_a_part_prints(state: Path) -> None:
    """The service's own lines are there, no more of them than asked for."""
    shown = obs("logs", "service", "-n", "2", "--state", str(state))
    assert shown.returncode == 0
    assert "comfyui." in shown.stdout


@pytest.mark.usefixtures("state")
def test_down_stops_it_and_says_so_once_more(state: Path) -> None:
    """After the first nothing runs; a second finds that out and is no error."""
    assert "Stopped" in obs("down", "--state", str(state)).stdout
    assert obs("status", "--state", str(state)).returncode != 0
    again = obs("down", "--state", str(state))
    assert again.returncode == 0
    assert "No stack" in again.stdout + again.stderr
