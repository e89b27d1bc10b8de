"""Short checks that tell whether a part is ready; each answers no instead of raising."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import requests

Probe = Callable[[], bool]
_TIMEOUT_S = 2.0


def http_ok(url: str) -> Probe:
    """Return a probe that is satisfied by a 2xx answer from ``url``."""

    def probe() -> bool:
        try:
            return requests.get(url, timeout=_TIMEOUT_S).ok
        except requests.RequestException:
            return False

    return probe


def elasticsearch_ready(url: str) -> Probe:
    """Return a probe for a cluster that has its primary shards.

    The first HTTP 200 of a node comes earlier than that and would let writes fail.
    """
    return http_ok(f"{url}/_cluster/health?wait_for_status=yellow&timeout=1s")


def touched_within(file: Path, seconds: float) -> Probe:
    """Return a probe for a heartbeat file that its writer touches more often than ``seconds``."""

    def probe() -> bool:
        try:
            return time.time() - file.stat().st_mtime < seconds
        except OSError:
            return False

    return probe
