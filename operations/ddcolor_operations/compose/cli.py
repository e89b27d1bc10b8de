"""``ddcolor-obs compose``: secrets for the container stack, and what its set-up service runs."""

from __future__ import annotations

from pathlib import Path

import click

from ddcolor_operations.compose.secret_files import SecretFileError, prepare
from ddcolor_operations.layout import project_root

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def compose() -> None:
    """Prepare the container stack (docker-compose.yml)."""


@compose.command("secrets")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the secrets go; default: .secrets of the checkout.",
)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Compose's settings; default: .env of the checkout.",
)
def secrets_(*, folder: Path | None, env_file: Path | None) -> None:
    """Make the random secrets that are not there yet (mode 0600, ignored by git).

    To rotate one, remove its file, run this again, then `docker compose up -d --force-recreate`.
    """
    try:
        done = prepare(folder or project_root() / ".secrets", env_file or project_root() / ".env")
    except SecretFileError as error:
        raise click.ClickException(str(error)) from error
    for line in done:
        click.echo(line)


@compose.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", "names", multiple=True, help="Another host name of this machine.")
def certificates(*, folder: Path | None, names: tuple[str, ...]) -> None:
    """Make an authority and certificates for compose/tls.yml, where they are not there yet."""
    from ddcolor_operations.compose.certificates import ensure_certificates

    folder = folder or project_root() / ".secrets" / "tls"
    try:
        made = ensure_certificates(folder, names)
    except SecretFileError as error:
        raise click.ClickException(str(error)) from error
    for name in made:
        click.echo(f"Wrote {folder / name}")
    if not made:
        click.echo(f"Nothing to do: {folder} has every certificate.")


@compose.command()
@click.option("--elasticsearch", "url", envvar="ELASTICSEARCH_URL", required=True)
@click.option("--ca", type=_FILE, envvar="ELASTICSEARCH_CA", help="Authority of an https address.")
@click.option("--secrets", "secrets_folder", type=_FOLDER, envvar="DDCOLOR_SECRETS", required=True)
@click.option(
    "--keys",
    type=_FOLDER,
    envvar="DDCOLOR_KEYS",
    required=True,
    help="Folder with one folder for each API key; the set-up writes the keys there.",
)
@click.option("--timeout", "timeout_s", type=float, default=180.0, show_default=True)
def setup(*, url: str, ca: Path | None, secrets_folder: Path, keys: Path, timeout_s: float) -> None:
    """Set a secured Elasticsearch up: users, roles, API keys, templates.

    Can be repeated: what is as it should be is left alone.
    """
    from ddcolor_operations.compose.roles import API_KEYS
    from ddcolor_operations.compose.security import (
        ensure_api_key,
        ensure_operator,
        set_kibana_password,
    )
    from ddcolor_operations.elastic.client import connect
    from ddcolor_operations.elastic.setup import SetupError, install, wait_ready

    password = _secret(secrets_folder / "elastic_password")
    try:
        with connect(url, username="elastic", password=password, ca_certs=ca) as client:
            wait_ready(client, timeout_s)
            _say(
                "password of kibana_system",
                set_kibana_password(client, _secret(secrets_folder / "kibana_system_password")),
            )
            _say("operator", ensure_operator(client, _secret(secrets_folder / "operator_password")))
            # Templates before keys: with its key, the gateway can write.
            installed = install(client, project_root() / "collector" / "elasticsearch")
            _say("templates and pipelines", bool(installed.changed))
            for name, role in API_KEYS.items():
                _say(f"API key {name}", ensure_api_key(client, name, role, keys / name))
    except SetupError as error:
        raise click.ClickException(str(error)) from error


def _secret(file: Path) -> str:
    try:
        value = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise click.ClickException(
            f"{file}: {error.strerror}: make it with `ddcolor-obs compose secrets`, as the user as"
            " whom the containers run."
        ) from error
    if not value:
        raise click.ClickException(
            f"{file} is empty: remove it, then `ddcolor-obs compose secrets`"
        )
    return value


def _say(what: str, changed: bool) -> None:
    click.echo(f"{what}: {'set' if changed else 'in place'}")
