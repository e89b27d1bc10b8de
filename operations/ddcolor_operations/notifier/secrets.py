"""Secrets by reference: the configuration names where a secret lies, never what it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from ddcolor_operations.secrets.errors import StoreError
from ddcolor_operations.secrets.uses import REFERENCE

#: Reads the secret that a reference names (a path, a variable, ...); raises SecretError.
SecretReader = Callable[[str], str]


class SecretError(Exception):
    """A secret cannot be read; the text names the reference, never a value."""


#: What :func:`hide` looks for: every value that was used, and its parts that open a door alone.
_revealed: set[str] = set()
# Shorter ones would be found in harmless words too.
_SHORTEST = 8


def hide(text: str) -> str:
    """Return ``text`` without any secret that this process has used.

    For what a robot or a gateway answers: it may repeat what it was sent.
    """
    for part in sorted(_revealed, key=len, reverse=True):
        text = text.replace(part, "<secret>")
    return text


def _telling_parts(value: str) -> set[str]:
    """Return the value, the words of a header and the parameters of a webhook."""
    parameters = [text for _, text in parse_qsl(value.partition("?")[2])]
    return {part for part in (value, *value.split(), *parameters) if len(part) >= _SHORTEST}


class Secret:
    """Where one secret lies. It is read for each use, so a rotated secret needs no restart."""

    __slots__ = ("_reader", "_reference", "_source")

    def __init__(self, source: str, reference: str, reader: SecretReader) -> None:
        self._source = source
        self._reference = reference
        self._reader = reader

    def reveal(self) -> str:
        """Return the value now; raises :class:`SecretError`."""
        value = self._reader(self._reference)
        _revealed.update(_telling_parts(value))
        return value

    def __repr__(self) -> str:
        return f"<Secret from {self._source} {self._reference}>"


def readers(base: Path) -> dict[str, SecretReader]:
    """Return the reader of each kind of reference; relative paths of files start at ``base``."""

    def from_file(reference: str) -> str:
        path = base / reference
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SecretError(
                f"secret file {path}: {reason}: create it with mode 0600 and the value alone in it"
            ) from None
        if not value:
            raise SecretError(f"secret file {path} is empty: put the value alone in it")
        return value

    def by_name(reference: str) -> str:
        # The order lets a container's secret files win over what the host has.
        variable = reference.upper()
        if os.environ.get(f"{variable}_FILE"):
            return from_file(os.environ[f"{variable}_FILE"])
        return os.environ.get(variable, "").strip() or _from_store(reference)

    return {"file": from_file, "env": _from_environment, REFERENCE: by_name}


def _from_environment(reference: str) -> str:
    value = os.environ.get(reference, "").strip()
    if not value:
        raise SecretError(f"environment variable {reference} is unset or empty: set it")
    return value


def _from_store(name: str) -> str:
    # The cryptography behind it loads slowly, and a notifier without a store needs none of it.
    from ddcolor_operations.secrets.store import open_store

    try:
        return open_store().get(name)
    except StoreError as error:
        raise SecretError(str(error)) from None


_SHAPES: Final = "{secret: NAME}, {file: PATH} or {env: NAME}"


def parse_secret(value: object, where: str, known: Mapping[str, SecretReader]) -> Secret:
    """Make a secret from its reference in the configuration; raises :class:`SecretError`.

    A value written in place of a reference is refused without being repeated.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise SecretError(f"{where}: a secret is never written here: give {_SHAPES}")
    ((source, reference),) = value.items()
    if source not in known or not isinstance(reference, str) or not reference:
        raise SecretError(f"{where}: unknown kind of secret: give {_SHAPES}")
    return Secret(source, reference, known[source])
