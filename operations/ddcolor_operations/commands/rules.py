"""``ddcolor-obs rules``: check the alert rules, explain them, and try them on documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ddcolor_operations.layout import project_root
from ddcolor_operations.rules import backtest as backtest_
from ddcolor_operations.rules import explain as explain_
from ddcolor_operations.rules.explain_words import LANGUAGES
from ddcolor_operations.rules.files import Rule, RuleFileError, load_rule, rule_files
from ddcolor_operations.rules.lint import lint_folder, lint_rule
from ddcolor_operations.rules.offline import OfflineError, run_corpora
from ddcolor_operations.toolchain import elastalert
from ddcolor_operations.toolchain.errors import ToolchainError

from .elasticsearch import elasticsearch_options, language_of, reading
from .time_range import time_range, time_range_options

_HOME = project_root() / "elastalert_rules"
_STATUS = {"accepted": "told", "held_back": "held back", "duplicate": "known"}


@click.group()
def rules() -> None:
    """Lint, explain and test the alert rules."""


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
@click.option("--json", "as_json", is_flag=True, help="Print the cases as JSON.")
@click.pass_context
def test(ctx: click.Context, *, names: tuple[str, ...], as_json: bool) -> None:
    """Run each RULE (default: all) over the documents beside it, by ElastAlert2's own classes.

    RULE is a name, or a file with its documents in the folder corpus beside its own. Exits with 1
    if a rule alerts otherwise than its corpus expects.
    """
    chosen = [_file_of(name) for name in names] or rule_files(_HOME / "rules")
    try:
        results = run_corpora(chosen, _python(as_json), _HOME)
    except (OfflineError, RuleFileError) as error:
        raise click.ClickException(str(error)) from error
    failed = [result for result in results if result.failures]
    if as_json:
        shown = [
            {
                "rule": result.rule,
                "case": result.case.name,
                "line": result.case.line,
                "failures": result.failures,
            }
            for result in results
        ]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        for result in results:
            mark = "FAIL" if result.failures else "ok  "
            click.echo(f"{mark} {result.rule}: {result.case.name}")
        for result in failed:
            click.echo(f"\n{result}")
        click.echo(f"{len(results)} cases of {len(chosen)} rules, {len(failed)} failed")
    if failed:
        ctx.exit(1)


@rules.command()
@click.argument("name", metavar="RULE")
@click.option("--language", type=click.Choice(LANGUAGES), help="Default: the stack's.")
def explain(*, name: str, language: str | None) -> None:
    """Say in plain words what RULE looks at, when it fires, who hears of it and how to tune it.

    RULE is a name or a file.
    """
    rule = _sound_rule(name)
    click.echo(explain_.explain(rule, language or language_of(None)))


@rules.command()
@click.argument("name", metavar="RULE")
@time_range_options
@click.option(
    "--window-s",
    type=click.FloatRange(0, 86400),
    default=300.0,
    show_default=True,
    help="The notifier's deduplicate.window_s: how long it holds repetitions back.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all alerts as JSON.")
@elasticsearch_options
def backtest(
    *,
    name: str,
    length: str | None,
    start: str | None,
    end: str | None,
    window_s: float,
    as_json: bool,
    **where: Any,
) -> None:
    """Say what RULE would have raised on the data in Elasticsearch, and how many messages.

    RULE is a name, or a file, so that a changed copy can be tried before it runs.
    """
    rule, time = _sound_rule(name), time_range(length, start, end)
    python = _python(as_json)
    with reading(**where) as client:
        try:
            done = backtest_.backtest(
                *(client, rule, time.start, time.end),
                window_s=window_s,
                python=python,
                package_root=_HOME,
            )
        except (backtest_.BacktestError, OfflineError) as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(_as_json(rule, done), indent=2, ensure_ascii=False))
    else:
        _print(rule, done)


def _print(rule: Rule, done: backtest_.Backtest) -> None:
    for raised in done.alerts:
        alert, local = raised.alert, raised.at.astimezone()
        facts = f"{local:%Y-%m-%d %H:%M:%S%z}  level {alert.level}  {alert.kind}  {alert.service}"
        node = f"  {alert.node}" if alert.node else ""
        times = f"  {alert.count} times" if alert.count > 1 else ""
        click.echo(f"{facts}{node}{times}  {_STATUS[raised.status]}\n    {alert.summary}")
    click.echo(f"documents that the filter of {rule.name} finds: {done.documents}")
    if done.heartbeats:
        click.echo(f"heartbeats of the alerting chain: {done.heartbeats}")
    statuses = [raised.status for raised in done.alerts]
    recorded = sum(raised.alert.level == 1 for raised in done.alerts)
    click.echo(
        f"alerts: {len(statuses)}, messages: {done.messages}, held back:"
        f" {statuses.count('held_back')}, recorded only (level 1): {recorded}, messages that it is"
        f" over: {done.closing}"
    )


def _as_json(rule: Rule, done: backtest_.Backtest) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "documents": done.documents,
        "messages": done.messages,
        "closing_messages": done.closing,
        "held_back": sum(raised.status == "held_back" for raised in done.alerts),
        "heartbeats": done.heartbeats,
        "alerts": [
            {**raised.alert.to_json(), "raised_at": raised.at.isoformat(), "status": raised.status}
            for raised in done.alerts
        ],
    }


def _sound_rule(name: str) -> Rule:
    """Return a rule in which the linter finds no problem; raises click's exceptions."""
    file = _file_of(name)
    problems = lint_rule(file, _HOME / "config.yaml", _HOME / "ddcolor_alerts")
    if problems:
        said = "\n".join(map(str, problems))
        raise click.ClickException(f"mend this first (ddcolor-obs rules lint):\n{said}")
    return load_rule(file)


def _file_of(name: str) -> Path:
    files = {file.stem: file for file in rule_files(_HOME / "rules")}
    if name in files:
        return files[name]
    if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file():
        return Path(name).resolve()
    raise click.UsageError(f"no rule {name} and no such file; known are {', '.join(files)}")


def _python(quiet: bool) -> Path:
    try:
        return elastalert.ensure((lambda _: None) if quiet else click.echo).python
    except ToolchainError as error:
        raise click.ClickException(str(error)) from error
