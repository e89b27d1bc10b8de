"""Run all receivers in one process: the demo's group chats, phone and mailbox."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from ddcolor_operations.receivers import MailReceiver, Received, serve
from ddcolor_operations.receivers.credentials import ensure_credentials


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ddcolor_operations.receivers",
        description="Local WeCom and DingTalk robots, an SMS gateway and a mail server.",
    )
    parser.add_argument("--port", type=int, default=8086, help="port of robots and SMS gateway")
    parser.add_argument("--smtp-port", type=int, default=8025, help="port of the mail server")
    parser.add_argument(
        "--store",
        type=Path,
        required=True,
        help="append each message to this JSON lines file; keys and webhooks lie beside it",
    )
    options = parser.parse_args(arguments)
    store: Path = options.store
    try:
        credentials = ensure_credentials(store.parent, options.port)
        store.touch(mode=0o600)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"receivers: {error}\n")
        return 2
    mail = MailReceiver(options.smtp_port)
    receivers = credentials.receivers()
    for receiver in (*receivers, mail):
        receiver.observe(_Store(store))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with mail, serve(*receivers, port=options.port, shown=[mail]) as server:
            sys.stdout.write(f"receivers listen on 127.0.0.1:{server.port}, mail :{mail.port}\n")
            sys.stdout.flush()
            stopped.wait()
    except OSError as error:
        sys.stderr.write(f"receivers: {error}: choose other ports\n")
        return 2
    return 0


class _Store:
    """Appends messages to a file, one JSON object a line."""

    _lock = threading.Lock()

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, message: Received) -> None:
        line = json.dumps(message.to_json(), ensure_ascii=False) + "\n"
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line)


if __name__ == "__main__":
    sys.exit(main())
