"""``ddcolor-obs data``: set the data up in Elasticsearch, check it, keep it long enough."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from elasticsearch import Elasticsearch

from comfyui_telemetry import configure
from ddcolor_operations.commands.elasticsearch import elasticsearch_options, reading
from ddcolor_operations.elastic.resources import SetupError
from ddcolor_operations.elastic.setup import install, wait_ready
from ddcolor_operations.layout import project_root

from . import retention as retention_
from .check import check as check_
from .keep import Keeper

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
def data() -> None:
    """Set up, check and keep the data in Elasticsearch."""


@data.command()
@elasticsearch_options
@_json_option
def setup(*, as_json: bool, **where: Any) -> None:
    """Install templates, pipelines and lifecycles; safe to repeat.

    Where a template has changed, its data streams go on in a new index, which has the new mapping.
    """
    with _client(**where) as client:
        wait_ready(client, timeout_s=60)
        done = install(client, _folder())
    if as_json:
        click.echo(json.dumps(asdict(done), indent=2))
        return
    _say("Installed", done.changed)
    _say("Went on in a new index", done.rolled_over)
    _say("Switched the failure store on", done.switched_on)
    if not (done.changed or done.rolled_over or done.switched_on):
        click.echo("All was in place.")
    if not done.lifecycle_management:
        click.echo(
            "This Elasticsearch deletes nothing by itself: `ddcolor-obs data keep` has to run."
        )


@data.command()
@elasticsearch_options
@_json_option
def check(*, as_json: bool, **where: Any) -> None:
    """Compare what Elasticsearch has with what the files say.

    Exits with 1 if anything is not as it should be, and says what to do. Changes nothing.
    """
    with _client(**where) as client:
        findings = check_(client, _folder())
    problems = [finding for finding in findings if finding.problem]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in problems:
            click.echo(f"{finding.what}: {finding.problem}. {finding.advice}.")
        click.echo(f"{len(findings)} looked at, {len(problems)} not as they should be.")
    if problems:
        raise click.exceptions.Exit(1)


@data.command()
@elasticsearch_options
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@_json_option
def retention(*, dry_run: bool, as_json: bool, **where: Any) -> None:
    """Delete once what is older than it should be.

    `ddcolor-obs data keep` does this every hour. An index that is written to is never deleted, nor
    one that is not of our templates.
    """
    with _client(**where) as client:
        actions = retention_.apply(client, _folder(), dry_run=dry_run)
    if as_json:
        click.echo(json.dumps([asdict(action) for action in actions], indent=2))
        return
    would = "would " if dry_run else ""
    for action in actions:
        click.echo(f"{would}{action.action}: {action.target} ({action.why})")
    if not actions:
        click.echo("Nothing is too old.")


@data.command()
@elasticsearch_options
@click.option("--every", "every_s", type=click.FloatRange(min=1), default=10.0, show_default=True,
              help="Seconds between looks for refused documents.")  # fmt: skip
@click.option("--retention-every", "retention_s", type=click.FloatRange(min=60), default=3600.0,
              show_default=True, help="Seconds between deletions of what is too old.")  # fmt: skip
@click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False),
              help="JSON lines go there instead of to standard output.")  # fmt: skip
@click.option("--ready-file", type=click.Path(path_type=Path, dir_okay=False),
              help="Touched after each good round, for a health check.")  # fmt: skip
def keep(
    *,
    every_s: float,
    retention_s: float,
    log_file: Path | None,
    ready_file: Path | None,
    **where: Any,
) -> None:
    """Run until stopped: record refused documents, delete what is too old."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    telemetry = configure(
        service_name="ddcolor-data",
        log_file=log_file,
        log_stdout=log_file is None,
        traces=False,
        metrics=False,
        role="part",
    )
    try:
        with _client(**where) as client:
            keeper = Keeper(
                client,
                _folder(),
                telemetry.logger("ddcolor_operations.data"),
                every_s=every_s,
                retention_every_s=retention_s,
                ready_file=ready_file,
            )
            keeper.run(stopped)
    finally:
        telemetry.shutdown()


@contextmanager
def _client(**where: Any) -> Iterator[Elasticsearch]:
    """Yield a client; what set-up, check or retention is refused ends the command with a reason."""
    try:
        with reading(**where) as client:
            yield client
    except SetupError as error:
        raise click.ClickException(str(error)) from error


def _folder() -> Path:
    return project_root() / "collector" / "elasticsearch"


def _say(what: str, names: tuple[str, ...]) -> None:
    if names:
        click.echo(f"{what}: {', '.join(names)}")
