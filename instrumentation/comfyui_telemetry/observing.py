"""A telemetry whose records go to the caller, for one that reads what another process wrote."""

from __future__ import annotations

from collections.abc import Callable

from ._configure import Telemetry
from ._losses import Losses
from ._render import Prepared
from ._settings import Settings

__all__ = ["observer"]


class _Caller:
    """The sink that hands each line on."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def put(self, line: bytes | Prepared) -> None:
        self._take(line if isinstance(line, bytes) else line.line())

    def after_fork(self) -> None:
        return

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing waits here
        return


def observer(service_name: str, take: Callable[[bytes], None]) -> Telemetry:
    """Return a telemetry in the name of ``service_name`` that gives each line of JSON to ``take``.

    Beside the process's own; it exports nothing and has no heartbeat. End it with ``shutdown()``.
    """
    settings = Settings(
        service_name=service_name,
        service_version=None,
        log_file=None,
        log_stdout=False,
        traces=False,
        metrics=False,
        time_limit_s=30.0,
        heartbeat_s=10.0,
        service_heartbeat_s=0.0,
        log_level="info",
        log_max_bytes=1,
        log_backups=0,
        device_timing=False,
        role="observer",
    )
    telemetry = Telemetry(settings, Losses(), [_Caller(take)], None, [])
    telemetry.start(join=False)
    return telemetry
