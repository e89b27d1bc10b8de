"""``ddcolor-obs dashboards``: build, check and import the Kibana dashboards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ddcolor_operations.commands.elasticsearch import api_key_option, ca_option, read_key
from ddcolor_operations.elastic.client import connect

from .check_lens import check_fields, check_panels
from .check_objects import Problem, check_objects, read_ndjson
from .fields import mapped
from .importer import ImportFailedError, Kibana, import_objects
from .model import SourceError, Sources
from .request import TimeRange
from .run import run
from .saved_objects import BUILT, FOLDER, build, declared_fields, optional_ids, to_ndjson
from .source import load
from .times import TimeError, last


@click.group()
def dashboards() -> None:
    """Build, check and import the Kibana dashboards."""


@dashboards.command("build")
def build_command() -> None:
    """Make dashboards/kibana.ndjson from the YAML sources."""
    data = _built(_sources())
    BUILT.write_bytes(data)
    click.echo(f"{BUILT}: {len(data.splitlines())} objects, {len(data)} bytes")


@dashboards.command("check")
@click.option("--elasticsearch", "url", help="Also run every panel on this Elasticsearch.")
@click.option("--since", default="24h", help="How far back it has data: 30m, 24h, 7d; default 24h.")
@api_key_option
@ca_option
@click.pass_context
def check_command(
    ctx: click.Context,
    *,
    url: str | None,
    since: str,
    api_key_file: Path | None,
    ca_certs: Path | None,
) -> None:
    """Find what Kibana would refuse, or import with success and then not show.

    With --elasticsearch each panel's fields are looked up there and its search is run: a panel or
    column without data is a mistake, too. Exits with 1 if there are any.
    """
    try:
        time = last(since)
    except TimeError as error:
        raise click.UsageError(f"--since: {error}") from error
    sources = _sources()
    data = BUILT.read_bytes() if BUILT.exists() else b""
    problems: list[Problem] = []
    if data != _built(sources):
        problems.append(
            Problem(BUILT.name, "it is not what the sources say; run: ddcolor-obs dashboards build")
        )
    objects, unreadable = read_ndjson(data)
    problems += [*unreadable, *check_objects(objects), *check_panels(objects)]
    panels = 0
    if not problems:
        if url is None:
            problems += check_fields(objects, declared_fields(sources))
        else:
            try:
                client = connect(url, api_key=read_key(api_key_file), ca_certs=ca_certs)
            except ValueError as error:
                raise click.UsageError(f"--elasticsearch {url}: {error}") from error
            with client:
                panels, more = _check_on(client, sources, objects, time)
            problems += more
    for problem in problems:
        click.echo(str(problem))
    ran = f", {panels} panels run" if url is not None else ""
    click.echo(f"{len(objects)} objects{ran}, {len(problems)} problems")
    if problems:
        ctx.exit(1)


@dashboards.command("import")
@click.option("--kibana", "url", required=True, help="Kibana's address, with /s/NAME for a space.")
@api_key_option
@ca_option
def import_command(*, url: str, api_key_file: Path | None, ca_certs: Path | None) -> None:
    """Import the built dashboards into Kibana; what is there under the same ids is replaced."""
    if not BUILT.exists():
        raise click.ClickException(f"{BUILT} is not there: run ddcolor-obs dashboards build")
    try:
        count = import_objects(Kibana(url, read_key(api_key_file), ca_certs), BUILT.read_bytes())
    except ImportFailedError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Kibana has taken all {count} objects.")


def _sources() -> Sources:
    try:
        return load(FOLDER)
    except SourceError as error:
        raise click.ClickException(str(error)) from error


def _built(sources: Sources) -> bytes:
    try:
        return to_ndjson(build(sources))
    except SourceError as error:
        raise click.ClickException(str(error)) from error


def _check_on(
    client: Elasticsearch, sources: Sources, objects: list[dict[str, Any]], time: TimeRange
) -> tuple[int, list[Problem]]:
    """Return how many panels and searches ran on ``client``, and what is wrong with them."""
    optional, promised = optional_ids(sources), declared_fields(sources)
    try:
        there = {view.id: mapped(client, view) for view in sources.views.values()}
        problems = check_fields(objects, there, optional, promised)
        tables = list(run(client, objects, time, optional))
    except (ApiError, TransportError) as error:
        raise click.ClickException(f"Elasticsearch cannot be asked: {error}") from error
    return len(tables), problems + [problem for table in tables for problem in table.problems]
