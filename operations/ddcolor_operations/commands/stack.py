"""``ddcolor-obs up | down | status | logs``."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ddcolor_operations.stack import (
    StackConfig,
    StackError,
    read_status,
    start,
    stop,
)
from ddcolor_operations.stack.config import default_state
from ddcolor_operations.stack.part import PartStatus, StackStatus, part_log

from .options import create_config, stack_options, state_option
from .setup import ensure_toolchain


@click.command()
@stack_options
@click.option("--detach", "-d", is_flag=True, help="Return once the stack is ready.")
@click.option("--demo", is_flag=True, default=None, help="With local receivers and fault switches.")
@click.option(
    "--embedded",
    is_flag=True,
    default=None,
    help="Service, log watcher and notifier only: no Elasticsearch, no traces, Python alone.",
)
@click.option(
    "--watcher",
    is_flag=True,
    default=None,
    help="Run the log watcher beside ElastAlert2 too: alerts come within a second.",
)
def up(*, detach: bool, **settings: Any) -> None:
    """Start the native stack and, unless detached, run it until Ctrl-C."""
    config = create_config(**settings)
    ensure_toolchain(embedded=config.embedded)
    try:
        status = start(config, click.echo, detached=detach)
    except StackError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Ready after {status.ready_after_s:.1f} s. Upload page: {config.url('service')}/")
    if detach:
        click.echo(f"Stop it with: ddcolor-obs down --state {config.state}")
    else:
        _run_until_interrupted(config)


@click.command()
@state_option
def down(*, state: Path | None) -> None:
    """Stop the native stack; says so when none runs."""
    folder = (state or default_state()).resolve()
    click.echo("Stopped." if _stop(folder) else f"No stack runs in {folder}.")


@click.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@click.pass_context
def status(ctx: click.Context, *, state: Path | None, as_json: bool) -> None:
    """Show every part: health, port, pid, version. Exits with 1 unless all are healthy."""
    folder = (state or default_state()).resolve()
    found = read_status(folder)
    if as_json:
        click.echo(json.dumps(found.to_dict() if found else {"state": "stopped", "parts": []}))
    elif found is None:
        click.echo(f"No stack runs in {folder}.")
    else:
        Console().print(_status_table(found))
    if found is None or found.state != "ready":
        ctx.exit(1)


@click.command()
@click.argument("part", required=False)
@state_option
@click.option("--follow", "-f", is_flag=True, help="Go on showing what is added.")
@click.option("--lines", "-n", default=40, show_default=True, help="Lines from the end of each.")
def logs(*, part: str | None, state: Path | None, follow: bool, lines: int) -> None:
    """Show the end of what PART (default: every part) prints, and its JSON log."""
    folder = (state or default_state()).resolve() / "log"
    files = [part_log(folder, part), folder / f"{part}.jsonl"] if part else sorted(folder.glob("*"))
    present = [str(file) for file in files if file.suffix in {".out", ".jsonl"} and file.is_file()]
    if not present:
        known = ", ".join(sorted({file.stem for file in folder.glob("*.out")})) or "none yet"
        raise click.ClickException(f"No log of {part or 'any part'} in {folder}; parts: {known}.")
    subprocess.run(["tail", "-n", str(lines), *(["-F"] if follow else []), *present], check=False)


def _run_until_interrupted(config: StackConfig) -> None:
    """Wait for Ctrl-C or SIGTERM, then stop the stack; end too if the supervisor does."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    click.echo("Ctrl-C stops it.")
    while not asked.wait(1.0):
        if read_status(config.state) is None:
            raise click.ClickException(
                f"The stack ended by itself; see {config.log_dir / 'stack.out'}."
            )
    click.echo("Stopping ...")
    _stop(config.state)
    click.echo("Stopped.")


def _stop(state: Path) -> bool:
    try:
        return stop(state)
    except StackError as error:
        raise click.ClickException(str(error)) from error


def _status_table(status: StackStatus) -> Table:
    title = f"{status.state}, supervisor pid {status.supervisor_pid}"
    columns = ("part", "state", "health", "port", "pid", "up for", "restarts", "version")
    table = Table(*columns, title=title, title_justify="left", box=None)
    for part in status.parts:
        healthy = "[green]ok[/]" if part.healthy else "[red]no[/]"
        table.add_row(
            part.name,
            part.state,
            healthy,
            str(part.port or "-"),
            str(part.pid or "-"),
            _up_for(part),
            f"{part.restarts} ({part.last_exit})" if part.restarts else "0",
            part.version,
        )
    return table


def _up_for(part: PartStatus) -> str:
    if part.pid is None or part.started_at is None:
        return "-"
    since = datetime.fromtimestamp(part.started_at, UTC)
    return str(datetime.fromtimestamp(time.time(), UTC) - since).split(".", maxsplit=1)[0]
