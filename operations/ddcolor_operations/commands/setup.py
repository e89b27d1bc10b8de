"""``ddcolor-obs setup``: fetch and build what the native stack runs."""

from __future__ import annotations

import time

import click

from ddcolor_operations.toolchain import collectors, elastalert, elasticsearch
from ddcolor_operations.toolchain.errors import ToolchainError


@click.command()
def setup() -> None:
    """Fetch Elasticsearch, build the collectors and make ElastAlert2's environment.

    Everything goes into a cache outside the checkout. A step that is done is not done again, and
    one that was cut off starts over.
    """
    ensure_toolchain()


def ensure_toolchain() -> None:
    """Run every set-up step, saying what happens; a failure ends the command with its reason."""
    started = time.monotonic()
    try:
        for tool in (elasticsearch, collectors, elastalert):
            tool.ensure(click.echo)
    except ToolchainError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Set-up complete after {time.monotonic() - started:.1f} s.")
