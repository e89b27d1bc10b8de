"""Find out who holds a port before a part fails on it."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import psutil

from .config import HOST, StackConfig


@dataclass(frozen=True)
class TakenPort:
    """A port that the stack wants and somebody else has."""

    name: str
    port: int
    holder: str

    def __str__(self) -> str:
        return f"Port {self.port} ({self.name}) is taken by {self.holder}."


def taken_ports(config: StackConfig) -> list[TakenPort]:
    """Return every port of the stack that cannot be bound now."""
    return [
        TakenPort(name, config.port(name), holder_of(config.port(name)))
        for name in config.used_ports
        if not _is_free(config.port(name))
    ]


def holder_of(port: int) -> str:
    """Name the process that listens on ``port``, as far as this user may see."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == "LISTEN":
            if connection.pid is None:
                break
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f"pid {connection.pid}"
    return "a process of another user"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection of an earlier run in TIME_WAIT does not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
