"""The encrypted store: what is on disk, what a wrong key or a changed file does, who may write."""

from __future__ import annotations

import json
import multiprocessing
import threading
from pathlib import Path

import pytest

from ddcolor_operations.secrets.errors import StoreError
from ddcolor_operations.secrets.files import locked
from ddcolor_operations.secrets.keys import FileKeys, new_key
from ddcolor_operations.secrets.store import MAX_BYTES, SecretStore

CANARY = "canary-3f9d-https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6"

# The child must share nothing with this process but the disk, and start fast.
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return store_in(tmp_path)


def store_in(folder: Path) -> SecretStore:
    """Return a store and its key in two folders, as by default."""
    return SecretStore(folder / "data" / "secrets.json", FileKeys(folder / "config" / "key"))


def test_a_secret_comes_back_and_only_its_owner_can_read_the_files(
    store: SecretStore, tmp_path: Path
) -> None:
    """The value is nowhere in the clear; files have mode 0600, folders 0700."""
    assert store.set("wecom_webhook", CANARY)
    assert not store.set("sms_token", "第二个")

    assert store_in(tmp_path).get("wecom_webhook") == CANARY
    assert store.get("sms_token") == "第二个"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.name for file in files} == {"secrets.json", "secrets.json.lock", "key"}
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert b"canary" not in file.read_bytes()


def test_names_and_times_need_no_key(store: SecretStore, tmp_path: Path) -> None:
    """What is there can be listed by somebody who cannot read it."""
    store.set("b", "x")
    store.set("a", "y")
    (tmp_path / "config" / "key").unlink()

    assert list(store.times()) == ["a", "b"]
    assert all(time.endswith("Z") for time in store.times().values())


def test_the_same_value_is_never_sealed_alike(store: SecretStore) -> None:
    """Nobody sees from the file that two secrets are equal, or that one was set again."""
    tokens = set()
    for name in ("a", "b", "a"):
        store.set(name, CANARY)
        tokens.add(json.loads(store.path.read_text())["secrets"][name]["sealed"])

    assert len(tokens) == 3


def test_removing_forgets_one(store: SecretStore) -> None:
    """The other stays; removing twice is an error that says so."""
    store.set("a", "x")
    store.set("b", "y")
    store.remove("a")

    assert list(store.times()) == ["b"]
    with pytest.raises(StoreError, match="nothing was removed"):
        store.remove("a")


def test_a_secret_that_was_never_set_says_how_to_set_it(store: SecretStore) -> None:
    """The command stands in the error."""
    with pytest.raises(StoreError, match="run `ddcolor-obs secrets set sms_token`"):
        store.get("sms_token")


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a.b", "../a", "a" * 65, "a b", "ä"])
def test_a_name_that_is_none_is_refused(store: SecretStore, name: str) -> None:
    """A name is also an environment variable's, and never a path."""
    with pytest.raises(StoreError, match="lower-case letter"):
        store.set(name, "x")


@pytest.mark.parametrize("value", ["", "a\0canary", "canary" * MAX_BYTES])
def test_a_value_that_no_use_could_want_is_refused_unrepeated(
    store: SecretStore, value: str
) -> None:
    """Nothing is stored, and the error does not hold it."""
    with pytest.raises(StoreError, match="nothing was stored") as caught:
        store.set("a", value)

    assert "canary" not in str(caught.value)
    assert store.times() == {}


def test_a_wrong_key_is_told_from_a_missing_one(store: SecretStore, tmp_path: Path) -> None:
    """Both say what to restore, and neither lets a new secret in under another key."""
    store.set("a", CANARY)
    key = tmp_path / "config" / "key"
    old = key.read_bytes()

    key.unlink()
    with pytest.raises(StoreError, match=r"no key in the key file .*restore it from your backup"):
        store.get("a")
    with pytest.raises(StoreError, match="no key in the key file"):
        store.set("b", "x")

    FileKeys(key).write([new_key()])
    with pytest.raises(StoreError, match=r"secret a in .* cannot be decrypted"):
        store.get("a")
    with pytest.raises(StoreError, match=r"secret a in .* cannot be decrypted"):
        store.set("b", "x")
    with pytest.raises(StoreError, match=r"secret a in .* cannot be decrypted"):
        store.rotate()
    store.set("a", "given anew")
    assert store.get("a") == "given anew"

    key.write_bytes(old)
    with pytest.raises(StoreError, match="cannot be decrypted"):
        store.get("a")


def test_one_secrets_value_cannot_be_given_to_another(store: SecretStore) -> None:
    """A file in which two sealed values were swapped is refused, not believed."""
    store.set("a", "x")
    store.set("b", CANARY)
    data = json.loads(store.path.read_text())
    both = data["secrets"]
    both["a"]["sealed"], both["b"]["sealed"] = both["b"]["sealed"], both["a"]["sealed"]
    store.path.write_text(json.dumps(data))

    with pytest.raises(StoreError, match="the file was changed") as caught:
        store.get("a")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1}', "\xff"])
def test_a_damaged_store_is_named_and_left_alone(store: SecretStore, content: str) -> None:
    """No command writes over what may still be mended by hand."""
    store.path.parent.mkdir()
    store.path.write_text(content, encoding="latin-1")

    for command in (store.times, store.rotate, lambda: store.set("a", "x")):
        with pytest.raises(StoreError, match="restore it from a backup"):
            command()
    assert store.path.read_text(encoding="latin-1") == content


def test_two_writers_lose_nothing_of_each_other(store: SecretStore, tmp_path: Path) -> None:
    """Four processes that set ten secrets each, at once, leave forty."""

    def write(number: int) -> None:
        for at in range(10):
            store_in(tmp_path).set(f"s{number}_{at}", f"value {number} {at}")

    writers = [FORK.Process(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(store.times()) == 40
    assert store.get("s3_9") == "value 3 9"


def test_a_writer_that_stays_away_is_not_waited_for_for_ever(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says who is in the way."""
    monkeypatch.setattr("ddcolor_operations.secrets.files._LOCK_WAIT_S", 0.1)
    store.set("a", "x")

    with (
        locked(store.path.with_name("secrets.json.lock")),
        pytest.raises(StoreError, match="being written by another"),
    ):
        store.set("a", "y")
    assert store.get("a") == "x"


def test_a_reader_never_sees_a_rotation(store: SecretStore, tmp_path: Path) -> None:
    """A notifier that reads all the time gets the value each time, while keys come and go."""
    for number in range(5):
        store.set(f"s{number}", CANARY)
    ended = threading.Event()

    def rotate() -> None:
        for _ in range(20):
            store_in(tmp_path).rotate()
        ended.set()

    rotating = threading.Thread(target=rotate)
    rotating.start()
    reads = 0
    while not ended.is_set():
        assert store.get("s3") == CANARY
        reads += 1
    rotating.join()

    assert reads > 20


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """What is in the way is said in the system's words, and which file it was."""
    (tmp_path / "data").write_text("a file where the folder should be")

    with pytest.raises(StoreError, match=r"secrets store .*secrets\.json"):
        store_in(tmp_path).set("a", "x")
