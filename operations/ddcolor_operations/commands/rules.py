"""``ddcolor-obs rules``: check the alert rules and try them on documents."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.files import RuleFileError, rule_files
from ddcolor_operations.rules.lint import lint_folder
from ddcolor_operations.rules.offline import OfflineError, run_corpora
from ddcolor_operations.toolchain import elastalert
from ddcolor_operations.toolchain.errors import ToolchainError

_HOME = project_root() / "elastalert_rules"


@click.group()
def rules() -> None:
    """Lint and test the alert rules."""


@rules.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=_HOME / "rules",
    help="Folder of rule files; default: this project's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.pass_context
def lint(ctx: click.Context, *, folder: Path, as_json: bool) -> None:
    """Find the mistakes that ElastAlert2 accepts in silence. Exits with 1 if there are any."""
    problems = lint_folder(folder, _HOME / "config.yaml", _HOME / "ddcolor_alerts")
    if as_json:
        shown = [
            {"file": str(item.path), "line": item.line, "text": item.text} for item in problems
        ]
        click.echo(json.dumps(shown, indent=2))
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(rule_files(folder))} rules, {len(problems)} problems")
    if problems:
        ctx.exit(1)


@rules.command()
@click.argument("names", nargs=-1, metavar="[RULE]...")
@click.pass_context
def test(ctx: click.Context, *, names: tuple[str, ...]) -> None:
    """Run each RULE (default: all) over the documents beside it, by ElastAlert2's own classes.

    Exits with 1 if a rule alerts otherwise than its corpus expects.
    """
    files = {file.stem: file for file in rule_files(_HOME / "rules")}
    if unknown := sorted(set(names) - set(files)):
        raise click.UsageError(f"no rule {', '.join(unknown)}; known are {', '.join(files)}")
    chosen = [files[name] for name in names or files]
    try:
        python = elastalert.ensure(click.echo).python
        results = run_corpora(chosen, python, _HOME)
    except (ToolchainError, OfflineError, RuleFileError) as error:
        raise click.ClickException(str(error)) from error
    failed = [result for result in results if result.failures]
    for result in results:
        mark = "FAIL" if result.failures else "ok  "
        click.echo(f"{mark} {result.rule}: {result.case.name}")
    for result in failed:
        click.echo(f"\n{result}")
    click.echo(f"{len(results)} cases of {len(chosen)} rules, {len(failed)} failed")
    if failed:
        ctx.exit(1)
