"""``ddcolor-obs doctor``."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from ddcolor_operations.doctor import Needed, examine

_MARKS: dict[Needed, str] = {
    "always": "[red]missing[/]",
    "whole stack": "[yellow]whole stack[/]",
    "tests": "[dim]optional[/]",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Name what this machine lacks, with the command that installs it.

    Exits with 1 when a tool is missing that nothing runs without. What only the whole stack needs
    is named too; without it the embedded stack runs ('ddcolor-obs up --embedded').
    """
    findings = examine()
    if as_json:
        click.echo(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        table = Table("", "tool", "for", box=None)
        table.add_column("found, or how to get it", overflow="fold")
        for finding in findings:
            mark = "[green]ok[/]" if finding.found else _MARKS[finding.needed]
            table.add_row(mark, finding.tool, finding.purpose, finding.found or finding.install)
        Console().print(table)
    if any(finding.needed == "always" and not finding.found for finding in findings):
        ctx.exit(1)
