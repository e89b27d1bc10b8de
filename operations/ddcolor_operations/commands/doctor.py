"""``ddcolor-obs doctor``."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from ddcolor_operations.doctor import examine


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Name what this machine lacks, with the command that installs it.

    Exits with 1 when a required tool is missing.
    """
    findings = examine()
    if as_json:
        click.echo(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        table = Table("", "tool", "for", "found, or how to get it", box=None)
        for finding in findings:
            mark = "[green]ok[/]" if finding.found else "[red]missing[/]"
            if not finding.found and not finding.required:
                mark = "[yellow]optional[/]"
            table.add_row(mark, finding.tool, finding.purpose, finding.found or finding.install)
        Console().print(table)
    if any(finding.required and not finding.found for finding in findings):
        ctx.exit(1)
