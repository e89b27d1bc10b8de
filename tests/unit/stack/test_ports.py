"""Taken ports are found and their holder is named."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ddcolor_operations.stack.config import StackConfig
from ddcolor_operations.stack.ports import taken_ports


def test_a_taken_port_names_its_holder(tmp_path: Path) -> None:
    """Who listens on a wanted port is told by pid."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        environ = {"DDCOLOR_OBS_PORT_SERVICE": str(port)}
        config = StackConfig.create(state=tmp_path, environ=environ)
        found = [taken for taken in taken_ports(config) if taken.name == "service"]
    assert len(found) == 1
    assert f"pid {os.getpid()}" in str(found[0])
