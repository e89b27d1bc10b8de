"""``ddcolor-obs``: what an operator runs.

Exit codes: 0 done, 1 it failed (the message says what, where and what to do), 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import importlib
import sys

import click

from comfyui_telemetry._version import __version__

# Each command is imported when it is asked for: ``status`` must not wait for torch.
_COMMANDS = {
    "alerts": ("ddcolor_operations.notifier.cli", "alerts", "List, show and retry alerts."),
    "compose": ("ddcolor_operations.compose.cli", "compose", "Prepare the container stack."),
    "dashboards": ("ddcolor_operations.dashboards.cli", "dashboards", "Check, import dashboards."),
    "comfyui": ("ddcolor_operations.comfyui.cli", "comfyui", "Observe a real ComfyUI."),
    "data": ("ddcolor_operations.data.cli", "data", "Set up, check and keep the data."),
    "demo": ("ddcolor_operations.demo.cli", "demo", "Run the main job and every fault for real."),
    "doctor": ("ddcolor_operations.commands.doctor", "doctor", "Name what this machine lacks."),
    "down": ("ddcolor_operations.commands.stack", "down", "Stop the native stack."),
    "logs": ("ddcolor_operations.commands.stack", "logs", "Show what the parts print."),
    "model": ("ddcolor_operations.commands.model", "model", "Check a checkpoint before a switch."),
    "report": ("ddcolor_operations.report.cli", "report", "Write all dashboards as one HTML file."),
    "rules": ("ddcolor_operations.commands.rules", "rules", "Lint and test the alert rules."),
    "secrets": ("ddcolor_operations.secrets.cli", "secrets", "Keep secrets encrypted."),
    "setup": ("ddcolor_operations.commands.setup", "setup", "Fetch and build what the stack runs."),
    "status": ("ddcolor_operations.commands.stack", "status", "Show every part and its health."),
    "trace": ("ddcolor_operations.report.cli", "trace", "Show a trace as a waterfall."),
    "up": ("ddcolor_operations.commands.stack", "up", "Start the native stack."),
    "watchdog": ("ddcolor_operations.watchdog.cli", "watchdog", "Say when the notifier is dead."),
    "watch": ("ddcolor_operations.watch.cli", "watch", "Run the alert rules on log files."),
}


# What runs on the Python of a ComfyUI; the rest of the house needs a newer one.
_ON_ANY_PYTHON = frozenset({"comfyui"})
_NEEDED = (3, 11)


class LazyGroup(click.Group):
    """A group whose commands are imported on use; the listing needs no import at all."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Name the commands."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command called ``cmd_name``."""
        if cmd_name not in _COMMANDS:
            return None
        if sys.version_info < _NEEDED and cmd_name not in _ON_ANY_PYTHON:
            raise click.ClickException(
                f"`ddcolor-obs {cmd_name}` needs Python 3.11 or newer and this is"
                f" {sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}). Install the"
                " package into a newer Python; here only `ddcolor-obs comfyui` runs."
            )
        module, attribute, _ = _COMMANDS[cmd_name]
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package == __package__:
                raise
            raise click.ClickException(
                f"`ddcolor-obs {cmd_name}` needs {package}, which is not installed here:"
                ' pip install "ddcolor-observability[operations,service]"'
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ddcolor-obs")
def cli() -> None:
    """Run, watch and check a photo restoration service and all that observes it."""


def main() -> None:
    """Run the command line; an interrupt ends with 130 as shells expect."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)
