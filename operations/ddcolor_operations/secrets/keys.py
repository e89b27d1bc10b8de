"""Where the store's key lies: in a file, in the environment or in the desktop's keyring.

Each place holds one key or several, the newest first. Several stand there while a rotation is under
way: what an older one has encrypted can still be read.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol

from cryptography.fernet import Fernet

from ddcolor_operations.secrets.errors import StoreError
from ddcolor_operations.secrets.files import write_private

KEY_FILE: Final = "DDCOLOR_SECRETS_KEY_FILE"
KEY: Final = "DDCOLOR_SECRETS_KEY"
KEYRING: Final = "DDCOLOR_SECRETS_KEYRING"

_KEYRING_SERVICE = "ddcolor-observability"
# Mounts of container engines, whose modes the user cannot choose and nobody else can reach.
_MOUNTED_SECRETS = Path("/run/secrets")


class Keys(Protocol):
    """One place for keys."""

    @property
    def where(self) -> str:
        """Return the place in words."""

    def read(self) -> tuple[bytes, ...]:
        """Return the keys, newest first, none if there are none yet; raises StoreError."""

    def write(self, keys: Sequence[bytes]) -> None:
        """Replace the keys in one step; raises StoreError."""

    @property
    def fixed(self) -> str | None:
        """Return why a command can never write here, and what to do; None where it can."""


def new_key() -> bytes:
    """Return a random key."""
    return Fernet.generate_key()


def choose_keys(environ: Mapping[str, str], store: Path) -> Keys:
    """Return the place that the environment names, else a file in the user's configuration."""
    if environ.get(KEY_FILE):
        return FileKeys(Path(environ[KEY_FILE]))
    if environ.get(KEY):
        return EnvironmentKeys(environ[KEY])
    if environ.get(KEYRING, "0") not in {"", "0", "false"}:
        return KeyringKeys(str(store.resolve()))
    return FileKeys(user_folder(environ, "XDG_CONFIG_HOME", ".config", KEY_FILE) / "secrets.key")


def user_folder(environ: Mapping[str, str], variable: str, below_home: str, instead: str) -> Path:
    """Return our folder in the user's; ``instead`` is the variable to set for one who has none.

    Raises StoreError.
    """
    try:
        base = Path(environ.get(variable) or Path.home() / below_home)
    except RuntimeError:
        raise StoreError(f"this user has no home folder: name the file with {instead}") from None
    return base / "ddcolor-observability"


class FileKeys:
    """A file with one key a line, which its owner alone can read."""

    fixed = None

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        """Return the place in words."""
        return f"key file {self._path}"

    def read(self) -> tuple[bytes, ...]:
        """Return the keys; raises StoreError for a file that others can read."""
        try:
            mode = self._path.stat().st_mode
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"{self.where}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise StoreError(f"{self.where} holds no key: {_RESTORE}") from None
        shared = mode & (stat.S_IRWXG | stat.S_IRWXO)
        if shared and _MOUNTED_SECRETS not in self._path.resolve().parents:
            raise StoreError(
                f"{self.where} can be read by others (mode {stat.S_IMODE(mode):04o}):"
                f" run chmod 600 {self._path}"
            )
        return _parsed(text, self.where)

    def write(self, keys: Sequence[bytes]) -> None:
        """Replace the file in one step."""
        try:
            write_private(self._path, b"".join(key + b"\n" for key in keys))
        except OSError as error:
            raise StoreError(f"{self.where} cannot be written: {error.strerror}") from None


class EnvironmentKeys:
    """Keys in a variable, separated by commas; a command cannot change them for its caller."""

    where = f"environment variable {KEY}"
    fixed = (
        f"the key comes from the {where}, which this command cannot change: set it to NEW,OLD"
        " (openssl rand -base64 32 | tr '+/' '-_' makes a key), rotate, then to NEW alone; or name"
        f" a file with {KEY_FILE}"
    )

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self) -> tuple[bytes, ...]:
        """Return the keys."""
        return _parsed(self._text.replace(",", "\n"), self.where)

    def write(self, keys: Sequence[bytes]) -> None:  # noqa: ARG002 - the protocol's parameter
        """Refuse, with the way to do it by hand."""
        raise StoreError(self.fixed)


class KeyringKeys:
    """Keys in the keyring of the desktop or the operating system."""

    where = f"keyring entry {_KEYRING_SERVICE!r}"
    fixed = None

    def __init__(self, account: str) -> None:
        self._account = account

    def read(self) -> tuple[bytes, ...]:
        """Return the keys."""
        with self._keyring() as keyring:
            text = keyring.get_password(_KEYRING_SERVICE, self._account)
        return _parsed(text.replace(",", "\n"), self.where) if text else ()

    def write(self, keys: Sequence[bytes]) -> None:
        """Replace the entry."""
        with self._keyring() as keyring:
            keyring.set_password(_KEYRING_SERVICE, self._account, b",".join(keys).decode())

    @contextlib.contextmanager
    def _keyring(self) -> Iterator[ModuleType]:
        """Give the library, and say what stands in its way as a StoreError."""
        try:
            import keyring
            import keyring.errors
        except ImportError:
            raise StoreError(
                f"{self.where}: the keyring library is not installed: run"
                f" `pip install 'ddcolor-observability[keyring]'`, or name a file with {KEY_FILE}"
            ) from None
        try:
            yield keyring
        except keyring.errors.KeyringError as error:
            raise StoreError(
                f"{self.where}: {type(error).__name__}: unlock the keyring, or name a file with"
                f" {KEY_FILE}"
            ) from None


_RESTORE = "restore it from your backup"


def _parsed(text: str, where: str) -> tuple[bytes, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        keys = tuple(line.encode("ascii") for line in lines)
        for key in keys:
            Fernet(key)
    except ValueError:
        # Its own text may hold the key.
        raise StoreError(f"{where} holds something that is no key: {_RESTORE}") from None
    return keys
