"""The random secrets of the container stack, each in a file of its own that one user can read.

Standard library only, so that a machine which has nothing but a container engine and Python can
make them too, from the checkout's folder::

    PYTHONPATH=operations python3 -m ddcolor_operations.compose.secret_files
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ddcolor_operations.layout import project_root
from ddcolor_operations.secrets.files import write_private

#: Names of the files with one random value each; docker-compose.yml mounts them.
RANDOM = (
    "admin_token",
    "elastic_password",
    "kibana_encryption_key",
    "kibana_system_password",
    "operator_password",
)
#: Kibana's settings file with its password: Kibana takes secrets from no other kind of file.
KIBANA = "kibana.yml"

_USER_SETTING = "DDCOLOR_UID"
# The user that the images were made for; root's files go to it, since Elasticsearch refuses root.
_DEFAULT_USER = 1000
_KIBANA_KEYS = (
    "xpack.encryptedSavedObjects.encryptionKey",
    "xpack.reporting.encryptionKey",
    "xpack.security.encryptionKey",
)


class SecretFileError(Exception):
    """A secret file cannot be used; the text says which, why and what to do."""


def ensure_secrets(folder: Path) -> list[str]:
    """Make the secret files that ``folder`` lacks and return their names.

    A value that is there is kept. All files get mode 0600 and belong to the user as whom the
    containers run: whoever calls this, or user 1000 when root does. Raises SecretFileError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        hand_over(folder, 0o700)
        made = [name for name in RANDOM if _ensure_random(folder / name)]
        text = kibana_settings(
            _read(folder / "kibana_system_password"), _read(folder / "kibana_encryption_key")
        )
        if not (folder / KIBANA).exists() or _read(folder / KIBANA) != text.strip():
            write_private(folder / KIBANA, text.encode())
            made.append(KIBANA)
        for name in (*RANDOM, KIBANA):
            hand_over(folder / name, 0o600)
    except OSError as error:
        raise SecretFileError(f"{error.filename or folder}: {error.strerror}.") from error
    return made


def ensure_user(env_file: Path) -> str | None:
    """Say in Compose's ``.env`` as which user the containers run; return the line if it is new.

    It is written only when it differs from what docker-compose.yml takes by itself. Raises
    SecretFileError when the file names another user, who could not read the secrets.
    """
    wanted = f"{_USER_SETTING}={_container_user()}"
    try:
        lines = env_file.read_text(encoding="utf-8").splitlines() if env_file.exists() else []
        for line in lines:
            if line.strip().startswith(f"{_USER_SETTING}="):
                if line.strip() == wanted:
                    return None
                raise SecretFileError(
                    f"{env_file} says {line.strip()}, but the secrets belong to user"
                    f" {_container_user()}: change the line to {wanted}, or remove it and the"
                    " folder of the secrets, and run this again."
                )
        if _container_user() == _DEFAULT_USER:
            return None
        env_file.write_text("\n".join([*lines, wanted, ""]), encoding="utf-8")
    except OSError as error:
        raise SecretFileError(f"{env_file}: {error.strerror}.") from error
    return wanted


def hand_over(path: Path, mode: int) -> None:
    """Give ``path`` this mode and, from root, to the user as whom the containers run."""
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, _DEFAULT_USER, _DEFAULT_USER)


def kibana_settings(password: str, key: str) -> str:
    """Return Kibana's secret settings; each encryption key is derived from ``key``."""
    settings: Mapping[str, str] = {
        "elasticsearch.password": password,
        **{
            name: hmac.new(key.encode(), name.encode(), hashlib.sha256).hexdigest()
            for name in _KIBANA_KEYS
        },
    }
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items())


def _container_user() -> int:
    return os.geteuid() or _DEFAULT_USER


def _ensure_random(path: Path) -> bool:
    """Make ``path`` with a random value; False if it has one already."""
    if path.exists():
        if not _read(path):
            raise SecretFileError(f"{path} is empty: remove it and run this again.")
        return False
    write_private(path, secrets.token_urlsafe(32).encode())
    return True


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the secrets of the checkout's stack; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 -m ddcolor_operations.compose.secret_files",
        description="Make the random secrets of the container stack that are not there yet.",
    )
    parser.add_argument("--folder", type=Path, default=project_root() / ".secrets")
    parser.add_argument("--env-file", type=Path, default=project_root() / ".env")
    options = parser.parse_args(arguments)
    try:
        for line in prepare(options.folder, options.env_file):
            sys.stdout.write(line + "\n")
    except SecretFileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def prepare(folder: Path, env_file: Path) -> list[str]:
    """Make secrets and the user's setting; return a line for each thing done, without a value."""
    user = ensure_user(env_file)
    done = [f"Wrote {folder / name}" for name in ensure_secrets(folder)]
    if user:
        done.append(f"Wrote {user} to {env_file}")
    return done or [f"Nothing to do: {folder} has every secret."]


if __name__ == "__main__":
    sys.exit(main())
