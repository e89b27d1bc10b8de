"""The encrypted store: one JSON file of names, times and sealed values.

A value is sealed together with its name, so that nobody who can write the file can give one
secret's value to another. Names and times are readable without the key.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ddcolor_operations.secrets.errors import StoreError
from ddcolor_operations.secrets.files import BusyError, locked, write_private
from ddcolor_operations.secrets.keys import Keys, choose_keys, new_key, user_folder

STORE: Final = "DDCOLOR_SECRETS_STORE"
#: The form of a name; in capitals it is also the name of an environment variable.
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_BYTES: Final = 64 * 1024

_FORMAT = 1
# A reader may see the store before and the keys after a rotation has ended; then it looks again.
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Sealed:
    """One secret as it lies in the file; ``set_at`` is RFC 3339 in UTC."""

    set_at: str
    token: str


class SecretStore:
    """The store in the file ``path``, whose key lies in ``keys``."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self.path = path
        self.keys = keys

    def times(self) -> dict[str, str]:
        """Return when each secret was set (RFC 3339), by name; needs no key. Raises StoreError."""
        return {name: sealed.set_at for name, sealed in self._read().items()}

    def get(self, name: str) -> str:
        """Return a secret's value; raises StoreError."""
        check_name(name)
        for _ in range(_LOOKS):
            sealed = self._read().get(name)
            if sealed is None:
                raise StoreError(
                    f"secret {name} is not in {self.path}: run `ddcolor-obs secrets set {name}`"
                )
            with contextlib.suppress(InvalidToken):
                return _opened(name, sealed, self._cipher())
        raise StoreError(self._unreadable(name))

    def set(self, name: str, value: str) -> bool:
        """Store a value on disk; return whether a key was made for it. Raises StoreError."""
        check_name(name)
        check_value(value)
        with self._locked():
            secrets = self._read()
            made = not secrets and not self.keys.read()
            if made:
                self.keys.write([new_key()])
            # With a wrong key the store would come to need two.
            self._check({other: sealed for other, sealed in secrets.items() if other != name})
            plain = json.dumps([name, value]).encode()
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            secrets[name] = Sealed(now, self._cipher().encrypt(plain).decode())
            self._write(secrets)
        return made

    def remove(self, name: str) -> None:
        """Forget a secret; raises StoreError when there is none."""
        check_name(name)
        with self._locked():
            secrets = self._read()
            if secrets.pop(name, None) is None:
                raise StoreError(f"secret {name} is not in {self.path}: nothing was removed")
            self._write(secrets)

    def rotate(self) -> int:
        """Encrypt everything under a new key and forget the old one; return how many secrets.

        It may be cut off anywhere: the new key stands before the old one from before the first
        secret is sealed with it until after the last one is, so whichever file is found, its key is
        there. Rotating again ends what was begun. Raises StoreError; then every secret is as before
        and can be read.
        """
        with self._locked():
            secrets, keys = self._read(), self.keys.read()
            if not secrets:
                raise StoreError(f"{self.path} holds no secret: nothing to rotate")
            self._check(secrets)
            by_hand = self.keys.fixed is not None
            if by_hand and len(keys) < 2:
                raise StoreError(str(self.keys.fixed))
            if not by_hand:
                keys = (new_key(), *keys)
                self.keys.write(keys)
            cipher = _cipher_of(keys)
            self._write(
                {
                    name: Sealed(sealed.set_at, cipher.rotate(sealed.token).decode())
                    for name, sealed in secrets.items()
                }
            )
            if not by_hand:
                self.keys.write(keys[:1])
        return len(secrets)

    def _check(self, secrets: Mapping[str, Sealed]) -> None:
        cipher = self._cipher()
        for name, sealed in secrets.items():
            try:
                _opened(name, sealed, cipher)
            except InvalidToken:
                raise StoreError(self._unreadable(name)) from None

    def _unreadable(self, name: str) -> str:
        return (
            f"secret {name} in {self.path} cannot be decrypted: the {self.keys.where} is not the"
            " one it was set with, or the file was changed: restore the key, or remove the secret"
            " and set it again"
        )

    def _cipher(self) -> MultiFernet:
        keys = self.keys.read()
        if not keys:
            raise StoreError(
                f"there are secrets in {self.path} but no key in the {self.keys.where}:"
                " restore it from your backup"
            )
        return _cipher_of(keys)

    def _read(self) -> dict[str, Sealed]:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"secrets store {self.path}: {error.strerror}") from None
        except ValueError:
            raise StoreError(self._damaged()) from None
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise StoreError(self._damaged())
        try:
            return {
                name: Sealed(str(entry["set_at"]), str(entry["sealed"]))
                for name, entry in data["secrets"].items()
            }
        except (KeyError, TypeError, AttributeError):
            raise StoreError(self._damaged()) from None

    def _damaged(self) -> str:
        return f"{self.path} is no secrets store that this version reads: restore it from a backup"

    def _write(self, secrets: Mapping[str, Sealed]) -> None:
        data = {
            "format": _FORMAT,
            "secrets": {
                name: {"set_at": sealed.set_at, "sealed": sealed.token}
                for name, sealed in sorted(secrets.items())
            },
        }
        try:
            write_private(self.path, json.dumps(data, indent=1).encode() + b"\n")
        except OSError as error:
            raise StoreError(
                f"secrets store {self.path} cannot be written: {error.strerror}; it is as before"
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked(self.path.with_name(self.path.name + ".lock")):
                yield
        except BusyError:
            raise StoreError(
                f"{self.path} is being written by another `ddcolor-obs secrets`: try again"
            ) from None
        except OSError as error:
            raise StoreError(f"secrets store {self.path}: {error.strerror}") from None


def open_store(environ: Mapping[str, str] = os.environ, path: Path | None = None) -> SecretStore:
    """Return the store at ``path``, or where the environment says, or in the user's data folder.

    Raises StoreError for a user who has no such folder.
    """
    if path is None and environ.get(STORE):
        path = Path(environ[STORE])
    if path is None:
        path = user_folder(environ, "XDG_DATA_HOME", ".local/share", STORE) / "secrets.json"
    return SecretStore(path, choose_keys(environ, path))


def check_name(name: str) -> None:
    """Raise StoreError for a name that cannot be one."""
    if NAME.fullmatch(name) is None:
        raise StoreError(
            "a secret's name is a lower-case letter, then letters, digits or _ (64 at most),"
            " as wecom_webhook"
        )


def check_value(value: str) -> None:
    """Raise StoreError, which does not repeat it, for a value that no use could want."""
    if not value:
        raise StoreError("the value is empty: nothing was stored")
    if len(value.encode("utf-8", "replace")) > MAX_BYTES:
        raise StoreError(f"the value is longer than {MAX_BYTES // 1024} KiB: nothing was stored")
    if "\0" in value:
        raise StoreError("the value holds a NUL byte, so it is no text: nothing was stored")


def _cipher_of(keys: tuple[bytes, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _opened(name: str, sealed: Sealed, cipher: MultiFernet) -> str:
    """Return the value; raises InvalidToken for a wrong key and for another name's value."""
    sealed_name, value = json.loads(cipher.decrypt(sealed.token))
    if sealed_name != name:
        raise InvalidToken
    return str(value)
