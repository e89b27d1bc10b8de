"""``ddcolor-obs watchdog``: watch the notifier, and say when it is dead."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path

import click

from comfyui_telemetry import configure
from ddcolor_operations.notifier.config import Config, load_config
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.settings import ConfigError
from ddcolor_operations.notifier.wording import WordingError
from ddcolor_operations.watchdog.state import load_state, save_state
from ddcolor_operations.watchdog.watch import Watchdog, answers


@click.command()
@click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The notifier's file: its channels, language and watchdog settings.",
)
@click.option(
    "--url",
    envvar="DDCOLOR_NOTIFIER_URL",
    help="Where the notifier is. Default: the file's host and port.",
)
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Remembers who was told. Default: watchdog.json in the notifier's data_dir.",
)
@click.option(
    "--log-file", type=click.Path(path_type=Path, dir_okay=False), help="Also log JSON lines here."
)
@click.option("--once", is_flag=True, help="Look once and end: 0 it answers, 1 it does not.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print what was seen as JSON.")
def watchdog(
    config_path: Path,
    url: str | None,
    state_path: Path | None,
    log_file: Path | None,
    once: bool,
    as_json: bool,
) -> None:
    """Watch the notifier; when it is dead, say so by its own channels, and once it is back."""
    if as_json and not once:
        raise click.UsageError("--json goes with --once")
    try:
        config = load_config(config_path)
        place = url or _address(config)
        state = state_path or config.data_dir / "watchdog.json"
        telemetry = configure(
            service_name="ddcolor-watchdog",
            log_file=log_file,
            log_stdout=not once,
            traces=False,
            metrics=False,
            role="part",
        )
        log = AlertLog(telemetry.logger("ddcolor_operations.watchdog"))
        try:
            alive = asyncio.run(_watch(config, place, state, log, once=once))
        finally:
            telemetry.shutdown()
    except (ConfigError, WordingError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(
            f"{error}: give a --state and a --log-file that can be written"
        ) from None
    if once:
        said = f"the notifier at {place} {'answers' if alive else 'does not answer'}"
        click.echo(json.dumps({"url": place, "alive": alive}) if as_json else said)
        sys.exit(0 if alive else 1)


async def _watch(config: Config, url: str, state_path: Path, log: AlertLog, *, once: bool) -> bool:
    """Look once, or again and again until SIGTERM or Ctrl-C; return what was seen last."""
    state = load_state(state_path)
    dog = Watchdog(config, lambda: answers(url), state, log)
    if once:
        alive = await dog.look(time.time())
        save_state(state_path, state)
        return alive
    # A place that cannot be written is said at the start. Later a full disk must not end the watch:
    # it may be what the notifier has died of.
    save_state(state_path, state)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    log.note("Watchdog watches the notifier")
    alive = True
    while not stopped.is_set():
        alive = await dog.look(time.time())
        try:
            save_state(state_path, state)
        except OSError as error:
            log.trouble("Who has been told could not be written down", error.strerror or "")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(config.watchdog.every_s):
                await stopped.wait()
    log.note("Watchdog stopped")
    return alive


def _address(config: Config) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.host, config.host)  # noqa: S104
    return f"http://{host}:{config.port}"
