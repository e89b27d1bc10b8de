"""``ddcolor-obs setup``: fetch and build what the native stack runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import click

from ddcolor_operations.toolchain import collectors, elastalert, elasticsearch
from ddcolor_operations.toolchain.errors import ToolchainError


@click.command()
@click.option("--embedded", is_flag=True, help="Only what the embedded stack needs.")
def setup(*, embedded: bool) -> None:
    """Fetch Elasticsearch, build the collectors and make ElastAlert2's environment.

    Everything goes into a cache outside the checkout. A step that is done is not done again, and
    one that was cut off starts over.
    """
    ensure_toolchain(embedded=embedded)


def ensure_toolchain(*, embedded: bool) -> None:
    """Run every set-up step, saying what happens; a failure ends the command with its reason.

    The embedded stack needs ElastAlert2's environment alone, for the rules.
    """
    started = time.monotonic()
    tools = (elastalert,) if embedded else (elasticsearch, collectors, elastalert)
    # Side by side: one waits for the network while another compiles.
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(tool.ensure, click.echo) for tool in tools]
    problems = []
    for step in running:
        try:
            step.result()
        except (ToolchainError, OSError) as error:  # a full disk, a cache that is closed
            problems.append(str(error))
    if problems and not embedded:
        problems.append("Without Elasticsearch and the collectors: ddcolor-obs up --embedded")
    if problems:
        raise click.ClickException("\n".join(problems))
    click.echo(f"Set-up complete after {time.monotonic() - started:.1f} s.")
