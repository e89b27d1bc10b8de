"""The real service as a process of its own, with small weights that colour visibly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import torch

from ddcolor_service.network import DDColor
from ddcolor_service.network.config import DEMO

ADMIN_TOKEN = "an-admin-token-of-the-tests"


def write_tinted_weights(path: Path) -> Path:
    """Write untrained weights of the demo size that tint every photo; return ``path``."""
    torch.manual_seed(0)
    state = DDColor(DEMO).state_dict()
    state["refine_net.0.0.bias"] = torch.tensor([35.0, 40.0])
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


class ServiceProcess:
    """``python -m ddcolor_service`` on one port, which may be stopped, killed and started again."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        prefix: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare it below ``folder``; ``prefix`` goes before its command."""
        write_tinted_weights(folder / "models" / "ddcolor_demo.pth")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.state = folder / "state"
        self.url = f"http://127.0.0.1:{self.port}/"
        self._log = folder / "service.out"
        self._environ = dict(environ or {})
        self._command = [
            *prefix,
            *(sys.executable, "-m", "ddcolor_service", "--device", "cpu"),
            *("--port", str(self.port), "--state", str(self.state)),
            *("--models", str(folder / "models"), "--fault-injection", "--drain-s", "0.2"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ServiceProcess:
        """Start and wait until it is ready; ``RuntimeError`` with its output if it is not."""
        env = {
            **os.environ,
            "DDCOLOR_ADMIN_TOKEN": ADMIN_TOKEN,
            "OMP_NUM_THREADS": "1",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            **self._environ,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=env)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if requests.get(f"{self.url}readyz", timeout=5).ok:
                    return self
            except requests.ConnectionError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the service did not start:\n{self.output()[-4000:]}")

    def stop(self, number: int = signal.SIGTERM) -> int | None:
        """Send a signal, wait for the end and return the exit status; None if nothing ran."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(number)
        return process.wait(30)

    def user(self) -> int:
        """Return the number of the user that it runs as."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}").stat().st_uid

    def output(self) -> str:
        """Return what the service wrote to standard output and error, over all its starts."""
        return self._log.read_text("utf-8", "replace")

    def arm(self, kind: str, **values: Any) -> None:
        """Make a fault happen in the next prompt."""
        self._admin("POST", json={"kind": kind, **values})

    def settle(self) -> None:
        """Take back the faults that have not happened and wait until nothing runs any more."""
        self._admin("DELETE")
        requests.post(f"{self.url}queue", json={"clear": True}, timeout=10).raise_for_status()
        requests.post(f"{self.url}interrupt", json={}, timeout=10).raise_for_status()
        deadline = time.monotonic() + 60
        while requests.get(f"{self.url}queue", timeout=10).json()["queue_running"]:
            if time.monotonic() > deadline:
                raise RuntimeError("a prompt runs on although it was interrupted")
            time.sleep(0.05)

    def _admin(self, method: str, **options: Any) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        answer = requests.request(
            method, f"{self.url}admin/faults", headers=headers, timeout=10, **options
        )
        answer.raise_for_status()
