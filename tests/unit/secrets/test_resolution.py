"""``{secret: NAME}`` in the notifier's configuration: secret file, environment, then the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddcolor_operations.notifier.channels.wecom import WeCom
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.secrets import Secret, readers
from ddcolor_operations.notifier.settings import ConfigError
from ddcolor_operations.notifier.text import clean
from ddcolor_operations.secrets.store import SecretStore, open_store

CONFIG = "channels: {wecom: {webhook: {secret: wecom_webhook}}}"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretStore:
    monkeypatch.setenv("DDCOLOR_SECRETS_STORE", str(tmp_path / "secrets.json"))
    monkeypatch.setenv("DDCOLOR_SECRETS_KEY_FILE", str(tmp_path / "key"))
    for name in ("WECOM_WEBHOOK", "WECOM_WEBHOOK_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "notifier.yaml").write_text(CONFIG)
    return open_store()


def webhook(folder: Path) -> Secret:
    channel = load_config(folder / "notifier.yaml", {}).channels["wecom"]
    assert isinstance(channel, WeCom)
    return channel.webhook


def test_the_secret_file_wins_over_the_environment_and_both_over_the_store(
    store: SecretStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is read anew for each message, so the next one takes over without a restart."""
    (tmp_path / "mounted").write_text("from a file\n")
    store.set("wecom_webhook", "from the store")
    monkeypatch.setenv("WECOM_WEBHOOK", "from the environment")
    monkeypatch.setenv("WECOM_WEBHOOK_FILE", str(tmp_path / "mounted"))

    secret = webhook(tmp_path)
    assert secret.reveal() == "from a file"
    monkeypatch.delenv("WECOM_WEBHOOK_FILE")
    assert secret.reveal() == "from the environment"
    monkeypatch.delenv("WECOM_WEBHOOK")
    assert secret.reveal() == "from the store"
    store.set("wecom_webhook", "a new one")
    assert secret.reveal() == "a new one"
    store.rotate()
    assert secret.reveal() == "a new one"


def test_a_secret_file_that_is_named_and_missing_is_an_error(
    store: SecretStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error must not fall through to an older value."""
    store.set("wecom_webhook", "from the store")
    monkeypatch.setenv("WECOM_WEBHOOK_FILE", str(tmp_path / "nowhere"))

    with pytest.raises(ConfigError, match=r"channels.wecom.webhook: secret file .*nowhere"):
        webhook(tmp_path)


def test_a_secret_that_is_nowhere_says_how_to_set_it(store: SecretStore, tmp_path: Path) -> None:
    """The setting and the command stand in the error."""
    with pytest.raises(ConfigError, match=r"channels.wecom.webhook: .*secrets set wecom_webhook"):
        webhook(tmp_path)


def test_a_name_that_cannot_be_one_is_refused(store: SecretStore, tmp_path: Path) -> None:
    """A value that was written where the name belongs is not repeated."""
    (tmp_path / "notifier.yaml").write_text(
        "channels: {wecom: {webhook: {secret: 'https://chat.example/?key=canary'}}}"
    )

    with pytest.raises(ConfigError, match="a secret's name is") as caught:
        webhook(tmp_path)
    assert "canary" not in str(caught.value)


def test_a_reference_shows_where_a_secret_lies_and_not_what_it_is(
    store: SecretStore, tmp_path: Path
) -> None:
    """Neither the reference nor the whole configuration has the value in its repr."""
    store.set("wecom_webhook", "canary")

    assert repr(webhook(tmp_path)) == "<Secret from secret wecom_webhook>"
    assert "canary" not in repr(load_config(tmp_path / "notifier.yaml", {}))
    assert set(readers(tmp_path)) == {"secret", "file", "env"}


def test_what_was_used_is_hidden_where_it_comes_back(store: SecretStore, tmp_path: Path) -> None:
    """A robot that repeats its webhook, or the key in it, does not bring it into a log."""
    value = "https://chat.example/robot/send?access_token=c4nary-f00&sign=abc"
    store.set("wecom_webhook", value)
    webhook(tmp_path).reveal()

    shown = clean(f"no robot c4nary-f00 at {value}: c4nary-f00\u202e", 400)

    assert "c4nary" not in shown
    assert shown.startswith("no robot <secret> at <secret>: <secret>")
