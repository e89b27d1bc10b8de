"""``ddcolor-obs dashboards``: build, check and import the Kibana dashboards."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ddcolor_operations.elastic.client import connect

from .check_lens import check_fields, check_panels
from .check_objects import Problem, check_objects, read_ndjson
from .fields import declared, mapped
from .importer import ImportFailedError, Kibana, import_objects
from .lens import data_view
from .model import SourceError
from .request import TimeRange
from .run import run
from .saved_objects import BUILT, FOLDER, TEMPLATES, build, to_ndjson
from .source import load

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

_key_option = click.option(
    "--api-key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the API key (encoded form).",
)
_ca_option = click.option(
    "--ca-certs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Certificates of the authority that signed the server's.",
)


@click.group()
def dashboards() -> None:
    """Build, check and import the Kibana dashboards."""


@dashboards.command("build")
def build_command() -> None:
    """Make dashboards/kibana.ndjson from the YAML sources."""
    data = _built()
    BUILT.write_bytes(data)
    click.echo(f"{BUILT}: {len(data.splitlines())} objects, {len(data)} bytes")


@dashboards.command("check")
@click.option("--elasticsearch", "url", help="Also run every panel on this Elasticsearch.")
@click.option("--since", default="24h", help="How far back it has data: 30m, 24h, 7d; default 24h.")
@_key_option
@_ca_option
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
    data = BUILT.read_bytes() if BUILT.exists() else b""
    problems: list[Problem] = []
    if data != _built():
        problems.append(
            Problem(BUILT.name, "it is not what the sources say; run: ddcolor-obs dashboards build")
        )
    objects, unreadable = read_ndjson(data)
    problems += [*unreadable, *check_objects(objects), *check_panels(objects)]
    panels = 0
    if not problems:
        time = _time_range(since)
        if url is None:
            problems += _check_declared(objects)
        else:
            client = connect(url, api_key=_read_key(api_key_file), ca_certs=ca_certs)
            with client:
                panels, more = _check_on(client, objects, time)
            problems += more
    for problem in problems:
        click.echo(str(problem))
    ran = f", {panels} panels run" if url is not None else ""
    click.echo(f"{len(objects)} objects{ran}, {len(problems)} problems")
    if problems:
        ctx.exit(1)


@dashboards.command("import")
@click.option("--kibana", "url", required=True, help="Kibana's address, with /s/NAME for a space.")
@_key_option
@_ca_option
def import_command(*, url: str, api_key_file: Path | None, ca_certs: Path | None) -> None:
    """Import the built dashboards into Kibana; what is there under the same ids is replaced."""
    if not BUILT.exists():
        raise click.ClickException(f"{BUILT} is not there: run ddcolor-obs dashboards build")
    try:
        count = import_objects(Kibana(url, _read_key(api_key_file), ca_certs), BUILT.read_bytes())
    except ImportFailedError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Kibana has taken all {count} objects.")


def _built() -> bytes:
    try:
        return to_ndjson(build(load(FOLDER)))
    except SourceError as error:
        raise click.ClickException(str(error)) from error


def _check_declared(objects: list[dict[str, Any]]) -> list[Problem]:
    views = [data_view(item) for item in objects if item["type"] == "index-pattern"]
    return check_fields(objects, {view.id: declared(view, TEMPLATES) for view in views})


def _check_on(
    client: Elasticsearch, objects: list[dict[str, Any]], time: TimeRange
) -> tuple[int, list[Problem]]:
    """Return how many panels and searches ran on ``client``, and what is wrong with them."""
    views = [data_view(item) for item in objects if item["type"] == "index-pattern"]
    try:
        problems = check_fields(objects, {view.id: mapped(client, view) for view in views})
        tables = list(run(client, objects, time))
    except (ApiError, TransportError) as error:
        raise click.ClickException(f"Elasticsearch cannot be asked: {error}") from error
    return len(tables), problems + [problem for table in tables for problem in table.problems]


def _time_range(since: str) -> TimeRange:
    match = re.fullmatch(r"(\d{1,4})([mhd])", since)
    if match is None:
        raise click.UsageError(f"--since is {since!r}; it has to be like 30m, 24h or 7d")
    end = datetime.now(UTC)
    return TimeRange(end - timedelta(**{_UNITS[match[2]]: int(match[1])}), end)


def _read_key(path: Path | None) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path is not None else None
