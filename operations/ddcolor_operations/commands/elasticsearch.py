"""Options that choose an Elasticsearch to read, and the client they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ddcolor_operations.elastic.client import connect
from ddcolor_operations.stack import read_status
from ddcolor_operations.stack.config import StackConfig, default_state

from .options import state_option

_Function = TypeVar("_Function", bound=Callable[..., Any])

# A report's searches go over days of data, on a machine that may be busy.
_TIMEOUT_S = 60.0


def api_key_option(function: _Function) -> _Function:
    """Add ``--api-key-file``."""
    return click.option(
        "--api-key-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="File with the API key (encoded form).",
    )(function)


def ca_option(function: _Function) -> _Function:
    """Add ``--ca-certs``."""
    return click.option(
        "--ca-certs",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Certificates of the authority that signed the server's.",
    )(function)


def elasticsearch_options(function: _Function) -> _Function:
    """Add ``--url``, ``--api-key-file``, ``--ca-certs`` and ``--state``."""
    url = click.option("--url", help="Elasticsearch; default: that of the running native stack.")
    return url(api_key_option(ca_option(state_option(function))))


def read_key(path: Path | None) -> str | None:
    """Return the API key in ``path``, if one is given."""
    return path.read_text(encoding="utf-8").strip() if path is not None else None


def language_of(state: Path | None) -> str:
    """Return the language of the stack in ``state``, or that of a new one."""
    try:
        return StackConfig.load(_folder(state)).language
    except FileNotFoundError:
        return StackConfig.language


@contextmanager
def reading(
    url: str | None, api_key_file: Path | None, ca_certs: Path | None, state: Path | None
) -> Iterator[Elasticsearch]:
    """Yield a client; that there is no stack, or no answer, ends the command with a message."""
    where = url or _url_of_stack(state)
    key = read_key(api_key_file)
    try:
        client = connect(where, api_key=key, ca_certs=ca_certs, request_timeout_s=_TIMEOUT_S)
    except ValueError as error:
        raise click.UsageError(f"--url {where}: {error}") from error
    with client:
        try:
            yield client
        except (ApiError, TransportError) as error:
            raise click.ClickException(
                f"Elasticsearch at {where} cannot be asked: {error}. Check the address and,"
                " where it is secured, --api-key-file and --ca-certs."
            ) from error


def _url_of_stack(state: Path | None) -> str:
    folder = _folder(state)
    if read_status(folder) is None:
        raise click.ClickException(
            f"No stack runs in {folder}. Start one with 'ddcolor-obs up', name its folder with"
            " --state, or an Elasticsearch with --url."
        )
    return StackConfig.load(folder).url("elasticsearch")


def _folder(state: Path | None) -> Path:
    return (state or default_state()).resolve()
