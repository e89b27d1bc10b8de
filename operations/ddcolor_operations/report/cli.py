"""``ddcolor-obs report`` and ``ddcolor-obs trace``: what Kibana would show, without Kibana."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ddcolor_operations.commands.elasticsearch import elasticsearch_options, language_of, reading
from ddcolor_operations.commands.time_range import time_range, time_range_options
from ddcolor_operations.dashboards.model import SourceError
from ddcolor_operations.elastic import queries
from ddcolor_operations.elastic.queries import LogRecord
from ddcolor_operations.elastic.traces import TraceNotFoundError, find_trace

from . import dashboards_page, terminal
from .spans import Row, total_s, waterfall
from .units import clock, seconds
from .words import LANGUAGES


@click.command()
@time_range_options
@click.option("--trace", "given", metavar="ID", help="Open it: id of a trace, prompt or alert.")
@click.option("--language", type=click.Choice(LANGUAGES), help="Default: the stack's.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    default=Path("ddcolor-report.html"),
    show_default=True,
)
@elasticsearch_options
@click.pass_context
def report(
    ctx: click.Context,
    /,
    *,
    length: str | None,
    start: str | None,
    end: str | None,
    given: str | None,
    language: str | None,
    output: Path,
    state: Path | None,
    **where: Any,
) -> None:
    """Write all dashboards with their data as one HTML file, which needs nothing else.

    Without --trace, the prompt dashboard has the traces that the tables of the others lead to.
    Exits with 1, the file written, if Elasticsearch refuses a panel's search.
    """
    time = time_range(length, start, end)
    with reading(state=state, **where) as client:
        try:
            trace_id = None if given is None else find_trace(client, given)
            page = dashboards_page.collect(client, time, language or language_of(state), trace_id)
        except (SourceError, TraceNotFoundError) as error:
            raise click.ClickException(str(error)) from error
    try:
        output.write_text(page.html, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from error
    megabytes = len(page.html.encode()) / 1e6
    click.echo(f"{output}: {page.panels} panels, {page.blank} without data, {megabytes:.1f} MB")
    for problem in page.refused:
        click.echo(problem, err=True)
    if page.refused:
        ctx.exit(1)


@click.command()
@click.argument("given", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print spans and log lines as JSON.")
@elasticsearch_options
def trace(*, given: str, as_json: bool, **where: Any) -> None:
    """Show a trace as a waterfall, with its log lines.

    ID is that of a trace, a prompt or an alert; of an alert the first 8 digits, which every message
    shows, are enough.
    """
    with reading(**where) as client:
        try:
            trace_id = find_trace(client, given)
        except TraceNotFoundError as error:
            raise click.ClickException(str(error)) from error
        rows = waterfall(queries.trace(client, trace_id))
        records = queries.logs_of_trace(client, trace_id, queries.ALL_LOGS)
    if as_json:
        click.echo(json.dumps(_as_json(trace_id, rows, records), ensure_ascii=False))
    else:
        _print(Console(), trace_id, rows, records)


def _print(
    console: Console, trace_id: str, rows: Sequence[Row], records: Sequence[LogRecord]
) -> None:
    began = min((*(row.span.start for row in rows), *(record.timestamp for record in records)))
    length = f" · {seconds(total_s(rows))}" if rows else ""
    console.print(f"[bold]{trace_id}[/] · {clock(began, None)}{length}", highlight=False)
    if rows:
        console.print(terminal.waterfall_table(rows, console.width))
        console.print()
        console.print(terminal.facts_of(rows))
    else:
        console.print("No span has arrived: they come when their prompt ends.", style="yellow")
    console.print()
    console.print(terminal.log_lines(records, None))


def _as_json(trace_id: str, rows: Sequence[Row], records: Sequence[LogRecord]) -> dict[str, Any]:
    return {
        "trace_id": trace_id,
        "duration_s": total_s(rows),
        "spans": [
            {
                "span_id": row.span.span_id,
                "parent_span_id": row.span.parent_span_id,
                "name": row.span.name,
                "depth": row.depth,
                "start": row.span.start.isoformat(),
                "offset_s": row.offset_s,
                "duration_s": row.span.duration_s,
                "status": row.span.status,
                "outcome": row.outcome,
                "error_kind": row.error_kind,
                "attributes": dict(row.span.attributes),
            }
            for row in rows
        ],
        "logs": [
            {
                "timestamp": record.timestamp.isoformat(),
                "severity": record.severity,
                "message": record.message,
                "event_name": record.event_name,
                "attributes": dict(record.attributes),
            }
            for record in records
        ],
    }
