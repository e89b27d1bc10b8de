"""``ddcolor-obs comfyui``: observe a real ComfyUI."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from comfyui_telemetry import Telemetry, configure
from comfyui_telemetry.comfyui.outputs import MODES
from comfyui_telemetry.comfyui.story import TextStory

from .pack import PackError, install_pack, python_of, uninstall_pack
from .read_log import follow, lines_of

_COMFYUI = click.argument(
    "comfyui",
    metavar="PATH_TO_COMFYUI",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
_NAME = click.option(
    "--service-name", default="comfyui", show_default=True, help="Its name in telemetry."
)
_LOG_FILE = click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the records to this file, which an agent may tail; default: standard output.",
)


@click.group()
def comfyui() -> None:
    """Observe a real ComfyUI, from inside (install) or outside (watch, read-log)."""


@comfyui.command()
@_COMFYUI
@click.option("--service-name", help="Its name in telemetry; default: comfyui.")
@click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False, resolve_path=True),
    help="File of JSON log lines; default: telemetry/comfyui.jsonl in ComfyUI's folder.",
)
@click.option("--otlp-endpoint", help="Collector; default: http://localhost:4318.")
@click.option(
    "--health-route/--no-health-route", default=None, help="Answer GET /telemetry/health."
)
@click.option("--output-check", type=click.Choice(MODES), help="Which saved pictures to check.")
def install(comfyui: Path, **settings: Any) -> None:
    """Put the pack into ComfyUI's custom_nodes; it works from ComfyUI's next start on.

    Settings that are given are kept beside the pack. The environment of ComfyUI wins over them.
    """
    told = {name: value for name, value in settings.items() if value is not None}
    if (log_file := told.get("log_file")) is not None:
        told["log_file"] = str(log_file)
    try:
        target = install_pack(comfyui, told)
    except PackError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Installed: {target}")
    click.echo("The package has to be in ComfyUI's Python as well, if it is not:")
    click.echo(f'  {python_of(comfyui)} -m pip install "ddcolor-observability[comfyui]"')
    click.echo("Then restart ComfyUI.")


@comfyui.command()
@_COMFYUI
def uninstall(comfyui: Path) -> None:
    """Take the pack out of ComfyUI's custom_nodes; it ends with ComfyUI's next restart."""
    try:
        target = uninstall_pack(comfyui)
    except PackError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Removed: {target}")


@comfyui.command()
@click.argument("url")
@_NAME
@_LOG_FILE
@click.option(
    "--client-id",
    help="The client id that your own client sends prompts with, if it opens no WebSocket itself:"
    " only then ComfyUI tells of their nodes.",
)
@click.option("--interval", type=click.FloatRange(0.1), default=2.0, show_default=True)
@click.option(
    "--hang-after",
    type=click.FloatRange(1),
    default=300.0,
    show_default=True,
    help="Seconds without progress after which all sources are asked whether a prompt hangs.",
)
def watch(
    url: str,
    *,
    service_name: str,
    log_file: Path | None,
    client_id: str | None,
    interval: float,
    hang_after: float,
) -> None:
    """Watch the ComfyUI at URL, such as http://127.0.0.1:8188, without any code in it."""
    from .watch import Pace, watch

    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"{url!r} is no URL: give one such as http://127.0.0.1:8188")
    pace = Pace(interval=interval, silence=hang_after)
    with _telemetry(service_name, log_file) as telemetry:
        asyncio.run(_until_stopped(watch(telemetry, url, client_id or uuid.uuid4().hex, pace)))


@comfyui.command("read-log")
@click.argument("file", metavar="FILE|-")
@_NAME
@_LOG_FILE
@click.option("--from-start", is_flag=True, help="Read what is in the file already, too.")
def read_log(file: str, *, service_name: str, log_file: Path | None, from_start: bool) -> None:
    """Tell records from ComfyUI's own log lines: of FILE as it grows, or of standard input."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _telemetry(service_name, log_file) as telemetry:
        if file == "-":
            _tell(telemetry, lines_of(sys.stdin))
            return
        try:
            _tell(telemetry, follow(Path(file), stop, from_start=from_start))
        except OSError as error:
            raise click.ClickException(f"{file} cannot be read: {error.strerror}") from error


def _tell(telemetry: Telemetry, lines: Iterable[str]) -> None:
    story = TextStory(telemetry)
    for line in lines:
        story.feed(line)
    story.close()


@contextlib.contextmanager
def _telemetry(service_name: str, log_file: Path | None) -> Iterator[Telemetry]:
    telemetry = configure(
        service_name, log_file=log_file, log_stdout=log_file is None, role="observer"
    )
    try:
        yield telemetry
    finally:
        telemetry.shutdown()


async def _until_stopped(work: Any) -> None:
    """Run ``work`` until it ends or a signal comes."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
