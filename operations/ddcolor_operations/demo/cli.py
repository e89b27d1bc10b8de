"""``ddcolor-obs demo``."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.commands.options import create_config, stack_options
from ddcolor_operations.commands.setup import ensure_toolchain
from ddcolor_operations.doctor import missing
from ddcolor_operations.report import render
from ddcolor_operations.report.facts import Run
from ddcolor_operations.stack import StackConfig, StackError, read_status, running_stack

from .client import DemoError
from .gather import gather
from .left_out import left_out
from .run import Pace, Performance
from .show import Display
from .state import demo_state, empty_state


@click.command()
@stack_options
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the facts of the run to this file.",
)
@click.option(
    "--embedded",
    is_flag=True,
    default=None,
    help="Without Elasticsearch, collectors and ElastAlert2. So it runs by itself where JDK, Maven"
    " or Go are missing.",
)
@click.option("--keep", is_flag=True, help="Leave the stack running afterwards.")
@click.option(
    "--lang",
    "language",
    type=click.Choice(["zh", "en"]),
    default="zh",
    show_default=True,
    help="Language of messages, output and report.",
)
@click.pass_context
def demo(
    ctx: click.Context,
    /,
    *,
    json_file: Path | None,
    keep: bool,
    language: str,
    state: Path | None,
    **settings: Any,
) -> None:
    """Run the main job and every fault for real, on a stack of its own.

    Restores photos, causes six faults, and waits for their alerts at local receivers. Exits with 0
    only if every expected alert arrived on every expected channel and nothing unexpected did.
    """
    config = create_config(state=state or demo_state(), demo=True, language=language, **settings)
    # The demo's alerts must never reach a real chat.
    config = replace(
        config, notifier=None, embedded=config.embedded or bool(missing("whole stack"))
    )
    ensure_toolchain(embedded=config.embedded)
    with Display(Console(), language) as display:
        try:
            run = _run(config, display, keep=keep)
        except (DemoError, StackError) as error:
            raise click.ClickException(str(error)) from error
    if json_file is not None:
        _write_facts(json_file, run)
    if run.all_problems:
        ctx.exit(1)


def _write_facts(file: Path, run: Run) -> None:
    facts = json.dumps(run.to_json(), indent=2, ensure_ascii=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(facts + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}.") from error


def _run(config: StackConfig, display: Display, *, keep: bool) -> Run:
    if read_status(config.state) is not None:
        raise DemoError(
            f"A stack still runs in {config.state}, as after --keep. Stop it with:"
            f" ddcolor-obs down --state {config.state}"
        )
    empty_state(config.state)
    if config.embedded:
        display.line(display.say(Text("嵌入式运行，不启动：", "Running embedded, without:")))
        for text in left_out():
            display.line(f"  · {display.say(text)}")
    started_at = datetime.now(UTC)
    results = config.state / "results"
    report = results / "report.html"
    display.doing(Text("启动全部部件", "Starting all parts"))
    with running_stack(config, lambda part: display.done(Text(part, part)), keep=keep) as stack:
        performed = Performance(stack, results, display, Pace()).run()
        display.doing(Text("读取结果，生成报告", "Reading the results, making the report"))
        gathered = gather(stack, performed, started_at)
        render.write(report, gathered.run, gathered.evidence, config.language)
        display.doing(Text("停止全部部件", "Stopping all parts"))
    run = gathered.run
    display.photos(run)
    display.faults(run)
    display.messages(run)
    if gathered.failed is not None:
        display.trace(gathered.failed)
    display.documents(run)
    display.verdict(run, report, config.log_dir)
    if keep:
        display.line(f"ddcolor-obs down --state {config.state}")
    return run
