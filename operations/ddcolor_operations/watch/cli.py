"""``ddcolor-obs watch``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import click

from comfyui_telemetry import Telemetry, __version__, configure, semconv
from ddcolor_operations.notifier.client import read_token
from ddcolor_operations.stack.config import default_state
from ddcolor_operations.toolchain import elastalert
from ddcolor_operations.toolchain.errors import ToolchainError

from .engine import EngineError, EngineSettings
from .session import WatchSettings
from .sources import Sources
from .watcher import watch as run_watch

_EPILOG = """\b
Examples:
  ddcolor-obs watch service.jsonl
  ddcolor-obs watch /var/log/comfyui/ --service-name comfyui-2
  ddcolor-obs watch '/srv/*/comfyui.log' --format comfyui
  ddcolor-obs watch old.jsonl --once --from-start --memory /tmp/once.sqlite
"""


@click.command(epilog=_EPILOG)
@click.argument("logfiles", metavar="LOGFILE...", nargs=-1, required=True)
@click.option(
    "--notifier",
    envvar="DDCOLOR_NOTIFIER_URL",
    default="http://127.0.0.1:8085",
    show_default=True,
    help="Where alerts go.",
)
@click.option(
    "--token-file",
    envvar="DDCOLOR_NOTIFIER_TOKEN_FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the notifier's api_token; or set DDCOLOR_NOTIFIER_TOKEN.",
)
@click.option(
    "--memory",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that remembers how far was read and what the rules know; default: watch.sqlite in"
    " the native stack's data.",
)
@click.option(
    "--rules",
    envvar="DDCOLOR_RULES_FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Folder of rule files; default: the project's.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "json", "comfyui"]),
    default="auto",
    show_default=True,
    help="JSON records, or ComfyUI's own lines.",
)
@click.option(
    "--service-name",
    default="comfyui",
    show_default=True,
    help="The service of ComfyUI's own lines, which do not name it.",
)
@click.option(
    "--from-start",
    is_flag=True,
    help="At the very first start, read what is in the files already, too.",
)
@click.option("--once", is_flag=True, help="End when everything is read and every alert is taken.")
@click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the watcher's own log to this file; default: standard output.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Touched each second while all is well.",
)
def watch(
    *,
    logfiles: tuple[str, ...],
    notifier: str,
    token_file: Path | None,
    memory: Path | None,
    rules: Path | None,
    form: str,
    service_name: str,
    log_file: Path | None,
    **settings: Any,
) -> None:
    """Run the alert rules on log files, without Elasticsearch.

    LOGFILE is a file, a folder (its *.jsonl and *.log) or a pattern; it may come later. Each is
    followed through rotation and restarts, and what a rule finds goes to the notifier within a
    second. Rule files are read again when they are saved.
    """
    if not notifier.startswith(("http://", "https://")):
        raise click.UsageError(f"--notifier {notifier!r} is no URL: give http://HOST:PORT")
    for name in logfiles:
        try:
            odd = Path(name).exists() and not (Path(name).is_file() or Path(name).is_dir())
        except OSError as error:
            raise click.UsageError(f"{name} cannot be looked at: {error.strerror}.") from error
        if odd:
            raise click.UsageError(f"{name} is neither a file nor a folder.")
    memory = memory or default_state() / "data" / "watcher" / "watch.sqlite"
    try:
        python = elastalert.ensure(lambda text: click.echo(text, err=True)).python
    except ToolchainError as error:
        raise click.ClickException(str(error)) from error
    telemetry = configure(
        "ddcolor-watcher",
        __version__,
        log_file=log_file,
        log_stdout=log_file is None,
        traces=False,
        metrics=False,
        role="part",
    )
    own = [log_file] if log_file is not None else []
    try:
        asyncio.run(
            _until_stopped(
                WatchSettings(
                    sources=Sources(logfiles, own),
                    engine=EngineSettings(python, memory.absolute(), rules),
                    notifier=notifier,
                    token=read_token(token_file),
                    form=form,
                    service_name=service_name,
                    **settings,
                ),
                telemetry,
            )
        )
    except EngineError as error:
        raise click.ClickException(str(error)) from error
    finally:
        telemetry.shutdown()


async def _until_stopped(settings: WatchSettings, telemetry: Telemetry) -> None:
    log = telemetry.logger("ddcolor_operations.watch")
    task = asyncio.ensure_future(run_watch(settings, log))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    log.info("Stopped", event_name=semconv.EVENT_ALERTING_STOPPED)
