"""Where keys come from: which place wins, and what a place refuses."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from ddcolor_operations.secrets.errors import StoreError
from ddcolor_operations.secrets.keys import (
    KEY,
    KEY_FILE,
    KEYRING,
    EnvironmentKeys,
    FileKeys,
    KeyringKeys,
    choose_keys,
    new_key,
)
from ddcolor_operations.secrets.store import SecretStore, open_store


class MemoryKeyring(KeyringBackend):
    """A keyring backend as a desktop has one, which can be locked."""

    priority = 1.0
    locked = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Return an entry."""
        self._refuse()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an entry."""
        self._refuse()
        self.entries[service, username] = password

    def _refuse(self) -> None:
        if self.locked:
            raise KeyringLocked("canary: the user said no")


@pytest.fixture
def backend() -> Any:
    before = keyring.get_keyring()
    mine = MemoryKeyring()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


def test_the_place_is_chosen_in_the_documented_order(tmp_path: Path) -> None:
    """File, environment, keyring, then a file in the user's configuration."""
    key = new_key().decode()
    environ = {KEY_FILE: "/k", KEY: key, KEYRING: "1", "XDG_CONFIG_HOME": "/c"}
    store = tmp_path / "secrets.json"
    found = []
    for name in (KEY_FILE, KEY, KEYRING, "XDG_CONFIG_HOME"):
        found.append(choose_keys(environ, store).where)
        del environ[name]
    environ["HOME"] = "/h"

    assert found == [
        "key file /k",
        f"environment variable {KEY}",
        "keyring entry 'ddcolor-observability'",
        "key file /c/ddcolor-observability/secrets.key",
    ]


def test_the_store_is_where_the_environment_says(tmp_path: Path) -> None:
    """Else in the user's data folder, apart from the key."""
    assert open_store({"DDCOLOR_SECRETS_STORE": "/s.json"}).path == Path("/s.json")
    assert open_store({"XDG_DATA_HOME": "/d", KEY_FILE: "/k"}).path == Path(
        "/d/ddcolor-observability/secrets.json"
    )


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a user that nobody has ever heard of."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)

    with pytest.raises(StoreError, match=r"no home folder: .*DDCOLOR_SECRETS_STORE"):
        open_store({})
    with pytest.raises(StoreError, match=f"no home folder: .*{KEY_FILE}"):
        open_store({"DDCOLOR_SECRETS_STORE": "/s.json"})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The command that mends it stands in the error."""
    file = tmp_path / "key"
    keys = FileKeys(file)
    keys.write([new_key()])
    file.chmod(mode)

    with pytest.raises(StoreError, match=f"mode {mode:04o}.*run chmod 600 {file}"):
        keys.read()


def test_a_mounted_key_file_keeps_the_mode_that_the_engine_gave_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker mounts secrets with mode 0444 into a container that has them to itself."""
    monkeypatch.setattr("ddcolor_operations.secrets.keys._MOUNTED_SECRETS", tmp_path)
    file, key = tmp_path / "key", new_key()
    FileKeys(file).write([key])
    file.chmod(0o444)

    assert FileKeys(file).read() == (key,)


@pytest.mark.parametrize(
    "text", ["canary", "Y2FuYXJ5", "canary\n" * 3, "ключ", "=" * 44, "canary\udc80"]
)
def test_what_is_no_key_is_not_repeated(tmp_path: Path, text: str) -> None:
    """The error names the place and never its content."""
    file = tmp_path / "key"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    file.chmod(0o600)

    for keys in (FileKeys(file), EnvironmentKeys(text)):
        with pytest.raises(StoreError, match="no key: restore it from your backup") as caught:
            keys.read()
        assert text.strip() not in str(caught.value)


def test_a_keyring_keeps_the_key_and_takes_part_in_rotations(
    backend: MemoryKeyring, tmp_path: Path
) -> None:
    """Nothing but the store lies on the disk; another store has a key of its own."""
    store = SecretStore(tmp_path / "secrets.json", KeyringKeys("one"))
    assert store.set("a", "x")
    before = dict(backend.entries)

    assert store.rotate() == 1

    assert store.get("a") == "x"
    assert list(backend.entries) == [("ddcolor-observability", "one")]
    assert backend.entries != before
    assert KeyringKeys("two").read() == ()
    assert {file.name for file in tmp_path.iterdir()} == {"secrets.json", "secrets.json.lock"}


def test_a_locked_keyring_is_a_sentence(backend: MemoryKeyring, tmp_path: Path) -> None:
    """It names the kind of trouble and the way round it, not what the backend said."""
    backend.locked = True

    for action in (KeyringKeys("one").read, lambda: KeyringKeys("one").write([new_key()])):
        with pytest.raises(StoreError, match=f"KeyringLocked: .*{KEY_FILE}") as caught:
            action()
        assert "canary" not in str(caught.value)


def test_a_missing_keyring_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the extra to install."""
    real = builtins.__import__

    def without_keyring(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "keyring":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_keyring)

    with pytest.raises(StoreError, match=r"pip install 'ddcolor-observability\[keyring\]'"):
        KeyringKeys("one").read()
