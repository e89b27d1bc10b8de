"""Rotation: nothing is lost, wherever it is cut off, and the old key opens nothing afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ddcolor_operations.secrets.errors import StoreError
from ddcolor_operations.secrets.keys import KEY, EnvironmentKeys, FileKeys, new_key
from ddcolor_operations.secrets.store import SecretStore
from tests.unit.secrets.test_store import CANARY, FORK, store_in

SECRETS = {"a": CANARY, "b": "二", "c": "three"}
#: The steps that change something on disk, or make it last.
STEPS = ("open", "fsync", "rename", "unlink")


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    filled = store_in(tmp_path)
    for name, value in SECRETS.items():
        filled.set(name, value)
    return filled


def contents(store: SecretStore) -> dict[str, str]:
    """Return every secret's value."""
    return {name: store.get(name) for name in store.times()}


def die_at(step: int) -> list[str]:
    """Make this process kill itself before its ``step``-th step; return the steps as they come."""
    done: list[str] = []

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            if len(done) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(name)
            return original(*arguments, **named)

        return call

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))
    # What Path.replace() and Path.unlink() call.
    os.replace = counted("replace", os.replace)  # type: ignore[assignment]
    return done


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a process that dies before its ``step``-th step; tell whether it got there."""

    def run() -> None:
        die_at(step)
        work()

    child = FORK.Process(target=run)
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def test_every_secret_is_there_and_the_old_key_opens_none(
    store: SecretStore, tmp_path: Path
) -> None:
    """The key file holds one key, another than before; the times stay."""
    key = tmp_path / "config" / "key"
    before, times = key.read_bytes(), store.times()

    assert store.rotate() == 3

    assert contents(store) == SECRETS
    assert store.times() == times
    assert len(key.read_bytes().splitlines()) == 1
    key.write_bytes(before)
    with pytest.raises(StoreError, match="cannot be decrypted"):
        store.get("a")


def test_a_kill_at_any_step_of_a_rotation_loses_nothing(store: SecretStore, tmp_path: Path) -> None:
    """Killed before each step in turn: all secrets are readable, and rotating again ends it."""
    key = tmp_path / "config" / "key"
    step = 0
    while killed_at(step, store.rotate):
        assert contents(store_in(tmp_path)) == SECRETS, step
        used = set(key.read_bytes().splitlines())

        store_in(tmp_path).rotate()

        assert contents(store_in(tmp_path)) == SECRETS, step
        (left,) = key.read_bytes().splitlines()
        assert left not in used
        step += 1

    # Lock; then three files, each made, flushed, renamed, and its folder opened and flushed.
    assert step >= 1 + 3 * 5


def test_a_kill_at_any_step_of_a_set_leaves_the_old_value_or_the_new(
    store: SecretStore, tmp_path: Path
) -> None:
    """And every other secret."""
    step = 0
    while killed_at(step, lambda: store.set("c", "new")):
        found = contents(store_in(tmp_path))
        assert found.pop("c") in ("three", "new")
        assert found == {"a": CANARY, "b": "二"}
        step += 1

    assert step >= 1 + 5
    assert store.get("c") == "new"


def test_a_kill_at_any_step_of_the_first_set_leaves_a_store_that_can_be_used(
    tmp_path: Path,
) -> None:
    """Between the new key and the first secret there is no state that refuses the next set."""
    step = 0
    while killed_at(step, partial(store_in(tmp_path / str(step)).set, "a", CANARY)):
        again = store_in(tmp_path / str(step))
        again.set("a", CANARY)
        assert contents(again) == {"a": CANARY}
        step += 1

    assert step >= 1 + 2 * 5


def test_a_rotation_under_a_key_of_the_environment_is_done_by_hand(tmp_path: Path) -> None:
    """One key: the error says how. Two: everything goes under the first, the second can go."""
    old, new = new_key().decode(), new_key().decode()
    path = tmp_path / "secrets.json"
    SecretStore(path, EnvironmentKeys(old)).set("a", CANARY)

    with pytest.raises(StoreError, match="set it to NEW,OLD") as caught:
        SecretStore(path, EnvironmentKeys(old)).rotate()
    assert KEY in str(caught.value)
    assert old not in str(caught.value)

    assert SecretStore(path, EnvironmentKeys(f"{new},{old}")).rotate() == 1
    assert SecretStore(path, EnvironmentKeys(new)).get("a") == CANARY


def test_an_empty_store_has_nothing_to_rotate(tmp_path: Path) -> None:
    """No key is made for nothing."""
    with pytest.raises(StoreError, match="nothing to rotate"):
        store_in(tmp_path).rotate()
    assert FileKeys(tmp_path / "config" / "key").read() == ()
