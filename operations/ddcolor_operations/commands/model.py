"""``ddcolor-obs model check``: whether a checkpoint fits, before it is switched to."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ddcolor_service.model_check import DEFAULT_SIZE, ModelCheck, asked_by, check_model

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def model() -> None:
    """Check a checkpoint before a switch."""


@model.command()
@click.argument("file", type=_FILE)
@click.option("--workflow", type=_FILE, help="Workflow file; its sizes are tried.")
@click.option("--running", type=_FILE, help="Checkpoint in use now, to compare speed and memory.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def check(
    ctx: click.Context,
    *,
    file: Path,
    workflow: Path | None,
    running: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Say whether the checkpoint FILE fits: contents, a trial on a photo, speed and memory.

    Exits with 1 if it does not fit.
    """
    try:
        result = check_model(
            file,
            sizes=_sizes(workflow),
            device=device,
            running=running,
            say=lambda text: click.echo(text, err=True),
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
    else:
        _show(result)
    if not result.fits:
        ctx.exit(1)


def _sizes(workflow: Path | None) -> list[int]:
    if workflow is None:
        return [DEFAULT_SIZE]
    try:
        asked = asked_by(json.loads(workflow.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise click.ClickException(f"{workflow}: not a usable workflow: {error}") from error
    return [one.size for one in asked if one.size is not None] or [DEFAULT_SIZE]


def _show(result: ModelCheck) -> None:
    console = Console()
    table = Table("", "", box=None, show_header=False)
    table.add_row("checkpoint", f"{result.name} ({result.variant or 'unknown variant'})")
    table.add_row("sha256", result.sha256 or "-")
    table.add_row("parameters", f"{result.parameters:,}" if result.parameters else "-")
    table.add_row("types", ", ".join(f"{n} {dtype}" for dtype, n in result.dtypes.items()) or "-")
    table.add_row("device", result.device)
    table.add_row("load", _seconds(result.load_seconds))
    for size in result.sizes:
        memory = f", peak {size.peak_bytes / 2**20:.0f} MiB" if size.peak_bytes else ""
        table.add_row(f"{size.size} px", size.problem or f"{_seconds(size.seconds)}{memory}")
    if result.slowdown is not None:
        table.add_row("against the running one", f"{result.slowdown:.2f} x its time")
    console.print(table)
    for problem in result.problems:
        console.print(f"[red]does not fit:[/] {problem}", soft_wrap=True)
    if result.fits:
        console.print("[green]fits[/]")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
