"""Measure the notifier: how fast it takes alerts, and how soon a message follows.

    python benchmarks/notifier.py [--alerts 2000] [--senders 8] [--messages 50]

Starts a real notifier process and a local WeCom robot. Prints what it measured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from ddcolor_operations.receivers import WeComRobot, serve

_MANY = 1_000_000


def main() -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=2000, help="alerts posted in the burst")
    parser.add_argument("--senders", type=int, default=8, help="connections that post them")
    parser.add_argument("--messages", type=int, default=50, help="alerts posted one by one")
    options = parser.parse_args()
    robot = WeComRobot("benchmark", per_minute=_MANY)
    with tempfile.TemporaryDirectory() as folder, serve(robot) as server:
        notifier = Notifier(Path(folder), server.url(robot))
        try:
            print(
                f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version},"
                f" {os.cpu_count()} CPUs, outbox in {folder}"
            )
            one_by_one(notifier, robot, options.messages)
            burst(notifier, options.alerts, options.senders)
        finally:
            notifier.stop()


class Notifier:
    """A notifier process with one channel and no practical rate limit."""

    def __init__(self, folder: Path, webhook: str) -> None:
        (folder / "webhook").write_text(webhook, encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        settings = {
            "port": self.port,
            "data_dir": "data",
            "log_file": "notifier.jsonl",
            "channels": {"wecom": {"webhook": {"file": "webhook"}, "per_minute": 6000}},
        }
        config = folder / "notifier.yaml"
        # JSON is YAML.
        config.write_text(json.dumps(settings), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ddcolor_operations.notifier", "--config", str(config)],
            stdout=subprocess.DEVNULL,
        )
        while True:
            if self._process.poll() is not None:
                raise SystemExit("the notifier did not start")
            try:
                connection = self.connect()
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                connection.close()
            except ConnectionError:
                time.sleep(0.05)
            else:
                return

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def post(connection: http.client.HTTPConnection, number: int) -> float:
    """Post one alert of a service of its own; return the seconds to the answer."""
    body = json.dumps(
        {
            "alert_id": f"{number:032x}",
            "rule": "benchmark",
            "kind": "execution_error",
            "level": 2,
            "service": f"service-{number}",
            "occurred_at": datetime.now(UTC).isoformat(),
            "summary": "Execution error: node DDColor_Colorize (2): benchmark",
        }
    )
    start = time.perf_counter()
    connection.request("POST", "/alerts", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    answer = reply.read()
    if reply.status != 202:
        raise SystemExit(f"the notifier answered {reply.status}: {answer!r}")
    return time.perf_counter() - start


def one_by_one(notifier: Notifier, robot: WeComRobot, count: int) -> None:
    """Measure from the post to the message at the robot."""
    connection = notifier.connect()
    seconds = []
    for number in range(count):
        start = time.time()
        post(connection, number)
        message = robot.wait_for(number + 1)[number]
        seconds.append(message.received_at - start)
    tell(f"post to message, {count} one by one", seconds)


def burst(notifier: Notifier, count: int, senders: int) -> None:
    """Measure how many alerts are on disk and answered in a second."""
    numbers: SimpleQueue[int] = SimpleQueue()
    for number in range(_MANY, _MANY + count):
        numbers.put(number)
    seconds: list[float] = []

    def send() -> None:
        connection = notifier.connect()
        while True:
            try:
                number = numbers.get_nowait()
            except Empty:
                return
            seconds.append(post(connection, number))

    threads = [threading.Thread(target=send) for _ in range(senders)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - start
    tell(f"post to answer (on disk), {senders} senders", seconds)
    print(f"{count} alerts in {total:.2f} s: {count / total * 60:,.0f} a minute")


def tell(what: str, seconds: list[float]) -> None:
    """Print the spread of some times."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    print(
        f"{what}: p50 {statistics.median(seconds) * 1000:.1f} ms, p95 {cuts[18] * 1000:.1f} ms,"
        f" max {max(seconds) * 1000:.1f} ms"
    )


if __name__ == "__main__":
    main()
