"""``python -m ddcolor_operations.notifier``: run the notifier until SIGTERM or Ctrl-C.

SIGHUP reads the configuration again: channels, routing, words and templates. Where it listens, its
outbox and its log need a restart.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sqlite3
import sys
from pathlib import Path

from aiohttp import web

from comfyui_telemetry import configure
from ddcolor_operations.notifier.config import OVERRIDES, Config, load_config
from ddcolor_operations.notifier.database import DatabaseError
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.server import make_app
from ddcolor_operations.notifier.service import Notifier, make_renderer
from ddcolor_operations.notifier.settings import ConfigError
from ddcolor_operations.notifier.wording import WordingError


def main(arguments: list[str] | None = None) -> int:
    """Run the notifier; return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ddcolor_operations.notifier",
        description="Take alerts over HTTP, keep them on disk, deliver each once per channel.",
        epilog=f"Environment: {', '.join(OVERRIDES)} replace settings of the file.",
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file, see docs/alerts.md")
    parser.add_argument("--check", action="store_true", help="check the configuration and end")
    options = parser.parse_args(arguments)
    try:
        config = load_config(options.config)
        if options.check:
            make_renderer(config)
            return 0
        asyncio.run(_serve(options.config, config))
    except (ConfigError, WordingError, DatabaseError, OSError) as error:
        sys.stderr.write(f"notifier: {error}\n")
        return 2
    except sqlite3.Error as error:
        sys.stderr.write(f"notifier: the outbox cannot be written: {error}: check its disk\n")
        return 2
    return 0


async def _serve(path: Path, config: Config) -> None:
    telemetry = configure(
        service_name="ddcolor-notifier",
        log_file=config.log_file,
        traces=False,
        metrics=False,
        role="part",
    )
    log = AlertLog(telemetry.logger("ddcolor_operations.notifier"))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        notifier = Notifier(config, log)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, notifier, path, log)
        runner = web.AppRunner(make_app(notifier), access_log=None, handle_signals=False)
        await notifier.start()
        try:
            await runner.setup()
            await web.TCPSite(runner, config.host, config.port).start()
            log.note(f"Notifier listens on port {runner.addresses[0][1]}")
            await stopped.wait()
        finally:
            await runner.cleanup()
            await notifier.stop()
            log.note("Notifier stopped")
    finally:
        telemetry.shutdown()


def _reload(notifier: Notifier, path: Path, log: AlertLog) -> None:
    """Read the configuration again; a broken one changes nothing."""
    try:
        notifier.reload(load_config(path))
    except (ConfigError, WordingError) as error:
        log.trouble("The configuration is not usable, the old one stays", str(error))
    else:
        log.note("Configuration read again")


if __name__ == "__main__":
    sys.exit(main())
