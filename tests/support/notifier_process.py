"""A notifier in a process of its own, to be killed and started again."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

_START_S = 60.0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NotifierProcess:
    """Runs ``python -m ddcolor_operations.notifier`` with a configuration file."""

    def __init__(self, config: Path, port: int, **environment: str) -> None:
        self._config = config
        self._environment = {"DDCOLOR_NOTIFIER_PORT": str(port), **environment}
        self.url = f"http://127.0.0.1:{port}"
        self.output = config.parent / "notifier.out"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and return once it answers; raises AssertionError with its output."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ddcolor_operations.notifier", "--config", self._config],
                env={**os.environ, **self._environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            assert self._process.poll() is None, self.output.read_text(encoding="utf-8")
            try:
                requests.get(f"{self.url}/healthz", timeout=5)
            except requests.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(self.output.read_text(encoding="utf-8"))

    def kill(self) -> None:
        """End it as a crash of the machine would: at once, without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Post an alert once; raises requests.RequestException while it is down."""
        reply = requests.post(f"{self.url}/alerts", json=body, timeout=10)
        assert reply.status_code == 202, reply.text
        data: dict[str, Any] = reply.json()
        return data

    def post_through_kills(
        self, bodies: Iterable[dict[str, Any]], *, kills: int, seed: int
    ) -> None:
        """Post each alert until it is answered, while the process dies at random moments.

        ``seed`` makes the moments the same in each run. Returns once all are taken and it runs.
        """
        moments = random.Random(seed)  # noqa: S311 - the same moments, no secret
        with ThreadPoolExecutor(1) as pool:
            posted = pool.submit(self._post_all, bodies)
            for _ in range(kills):
                time.sleep(moments.uniform(0.05, 0.6))
                self.kill()
                self.start()
            posted.result(90)

    def _post_all(self, bodies: Iterable[dict[str, Any]]) -> None:
        for body in bodies:
            while True:
                try:
                    self.post(body)
                    break
                except requests.RequestException:
                    time.sleep(0.02)

    def alerts(self) -> list[dict[str, Any]]:
        """Return all alerts as the notifier shows them."""
        reply = requests.get(f"{self.url}/alerts", params={"limit": 10_000}, timeout=30)
        alerts: list[dict[str, Any]] = reply.json()["alerts"]
        return alerts

    def settled(self, timeout_s: float = 90.0) -> list[dict[str, Any]]:
        """Return all alerts once no delivery is pending; raises AssertionError with the rest."""
        end = time.monotonic() + timeout_s
        while True:
            alerts = self.alerts()
            pending = [
                (a["alert_id"], d)
                for a in alerts
                for d in a["deliveries"]
                if d["status"] == "pending"
            ]
            if not pending:
                return alerts
            assert time.monotonic() < end, pending[:5]
            time.sleep(0.05)
