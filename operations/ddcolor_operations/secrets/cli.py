"""``ddcolor-obs secrets``: put secrets into the encrypted store, look, rotate, remove."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from ddcolor_operations.commands.options import create_config
from ddcolor_operations.secrets.errors import StoreError
from ddcolor_operations.secrets.store import MAX_BYTES, STORE, SecretStore, check_name, open_store
from ddcolor_operations.secrets.uses import uses

T = TypeVar("T")

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_config = click.option(
    "--config",
    "configs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A notifier's file that may use secrets; default: the one of ddcolor-obs.toml.",
)


@click.group()
@click.option(
    "--store",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=STORE,
    show_envvar=True,
    help="The store's file; default: in your data folder.",
)
@click.pass_context
def secrets(context: click.Context, store: Path | None) -> None:
    """Keep the secrets of chats, mail and SMS encrypted on this machine.

    The key comes from the file that DDCOLOR_SECRETS_KEY_FILE names, from DDCOLOR_SECRETS_KEY, from
    the system's keyring (DDCOLOR_SECRETS_KEYRING=1), or from a file in your configuration folder,
    which is made when it is first needed.
    """
    context.obj = _told(lambda: open_store(path=store))


# So that a value that begins with a dash is refused, not repeated as an unknown option.
@secrets.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("refused", nargs=-1, type=click.UNPROCESSED, metavar="")
@_as_json
@click.pass_obj
def set_(store: SecretStore, name: str, refused: tuple[str, ...], as_json: bool) -> None:
    """Store the value of NAME: type it at the hidden prompt, or send it to standard input."""
    if refused:
        # Never repeated: it would stand in a terminal's or a job's log as well.
        raise click.UsageError(
            "a value is never given on the command line, where every user of this machine and the"
            " shell's history can see it: leave it out and type it at the prompt, or send it to"
            " standard input. The one that you gave is no secret any more: have a new one made"
        )
    _told(lambda: check_name(name))
    made = _told(lambda: store.set(name, _value(name)))
    if made:
        click.echo(
            f"Made a key in the {store.keys.where}. Keep a copy elsewhere: without it the secrets"
            " cannot be read.",
            err=True,
        )
    click.echo(json.dumps({"name": name, "set": True}) if as_json else f"{name} is set.")


@secrets.command("list")
@_config
@_as_json
@click.pass_obj
def list_(store: SecretStore, configs: tuple[Path, ...], as_json: bool) -> None:
    """List the secrets' names, when each was set and which settings use it; never a value."""
    times, used = _told(store.times), _uses(configs)
    names = sorted(times.keys() | used.keys())
    if as_json:
        shown = [
            {"name": name, "set_at": times.get(name), "used_by": used.get(name, [])}
            for name in names
        ]
        data = {"store": str(store.path), "key": store.keys.where, "secrets": shown}
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    width = max(map(len, names), default=0)
    for name in names:
        users = ", ".join(used.get(name, ["-"]))
        click.echo(f"{name:<{width}}  {times.get(name, 'not set here'):<20}  {users}")
    if not names:
        click.echo(f"{store.path} holds no secret.")


@secrets.command()
@_as_json
@click.pass_obj
def rotate(store: SecretStore, as_json: bool) -> None:
    """Encrypt every secret under a new key; may be interrupted and run again at any time."""
    count = _told(store.rotate)
    text = f"{count} secrets are encrypted under a new key in the {store.keys.where}."
    click.echo(json.dumps({"rotated": count, "key": store.keys.where}) if as_json else text)


@secrets.command("rm")
@click.argument("name")
@click.option("--force", is_flag=True, help="Also when a setting uses it.")
@_config
@_as_json
@click.pass_obj
def remove(
    store: SecretStore, name: str, force: bool, configs: tuple[Path, ...], as_json: bool
) -> None:
    """Remove the secret NAME."""
    users = _uses(configs).get(name, [])
    if users and not force:
        raise click.ClickException(
            f"{name} is used by {', '.join(users)}: change that first, or give --force"
        )
    _told(lambda: store.remove(name))
    click.echo(json.dumps({"name": name, "removed": True}) if as_json else f"{name} is removed.")


def _value(name: str) -> str:
    """Return what the user types or sends, without the white space around it.

    Raises StoreError for a text that cannot be decoded.
    """
    if sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, err=True)).strip()
    data = sys.stdin.buffer.read(MAX_BYTES + 2)
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise StoreError("the value is not UTF-8 text: nothing was stored") from None


def _uses(configs: tuple[Path, ...]) -> dict[str, list[str]]:
    if not configs:
        notifier = create_config().notifier
        configs = (notifier,) if notifier is not None else ()
    found: dict[str, list[str]] = {}
    for file in configs:
        for name, places in _told(partial(uses, file)).items():
            found.setdefault(name, []).extend(places)
    return found


def _told(action: Callable[[], T]) -> T:
    """Return what ``action`` does; what stands in its way ends the command with a sentence."""
    try:
        return action()
    except StoreError as error:
        raise click.ClickException(str(error)) from None
