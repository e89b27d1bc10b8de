"""Options that several commands share, and the one place where they become a configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ddcolor_operations.stack.config import ConfigError, StackConfig

_Function = TypeVar("_Function", bound=Callable[..., Any])


def state_option(function: _Function) -> _Function:
    """Add ``--state``."""
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="DDCOLOR_OBS_STATE",
        help="Folder for data, logs and the running stack's description.",
    )(function)


def stack_options(function: _Function) -> _Function:
    """Add the options that choose a stack: ``--state``, ``--port-offset``, ``--config``."""
    function = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="TOML settings; default: ddcolor-obs.toml here, if there is one.",
    )(function)
    function = click.option(
        "--port-offset",
        type=int,
        help="Added to every port, so that two stacks run side by side.",
    )(function)
    return state_option(function)


def create_config(**values: Any) -> StackConfig:
    """Return the merged settings; a wrong one ends the command with a plain message."""
    try:
        return StackConfig.create(**values)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
