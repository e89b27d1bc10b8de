"""``ddcolor-obs secrets`` as an operator and a script use it; no value is ever shown."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddcolor_operations.secrets.cli import secrets
from ddcolor_operations.secrets.store import open_store

CANARY = "canary-https://chat.example/send?key=693a91f6"
NOTIFIER = """
channels:
  wecom: {webhook: {secret: wecom_webhook}}
  sms:
    url: {file: sms.url}
    headers: {Authorization: {secret: sms_token}}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own."""
    for name in ("DDCOLOR_SECRETS_KEY_FILE", "DDCOLOR_SECRETS_KEY", "DDCOLOR_SECRETS_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notifier.yaml").write_text(NOTIFIER)
    return tmp_path


def run(*arguments: str, value: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(secrets, arguments, input=value)
    assert "canary" not in result.output
    return result


def test_a_value_comes_from_standard_input(home: Path) -> None:
    """The white space around it goes; the first time, the new key is told."""
    first = run("set", "wecom_webhook", value=f"{CANARY}\n")
    second = run("set", "sms_token", value=" Bearer canary\r\n")

    assert (first.exit_code, first.stdout) == (0, "wecom_webhook is set.\n")
    assert str(home / "config" / "ddcolor-observability" / "secrets.key") in first.stderr
    assert second.stderr == ""
    assert open_store().get("wecom_webhook") == CANARY
    assert open_store().get("sms_token") == "Bearer canary"


def test_a_value_is_typed_at_a_prompt_that_does_not_show_it() -> None:
    """On a terminal the command asks, and nothing of the answer appears there."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ddcolor_operations", "secrets", "set", "wecom_webhook"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        # Without a terminal that controls the session, the prompt reads this one.
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"Value of wecom_webhook" not in shown:
        shown += os.read(controller, 1024)
    os.write(controller, CANARY.encode() + b"\n")
    while b"is set." not in shown:
        shown += os.read(controller, 1024)

    assert process.wait(30) == 0
    os.close(controller)
    assert b"canary" not in shown
    assert open_store().get("wecom_webhook") == CANARY


@pytest.mark.parametrize("value", ["canary", "--canary", "-canary"])
def test_a_value_in_the_command_line_is_refused_unrepeated(value: str) -> None:
    """It is too late for that value, and the error says so."""
    result = run("set", "wecom_webhook", value)

    assert result.exit_code == 2
    assert "have a new one made" in result.stderr
    assert open_store().times() == {}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("Wecom", CANARY, "lower-case letter"),
        ("wecom", " \n", "the value is empty"),
        ("wecom", b"canary\xff", "not UTF-8"),
        ("wecom", "canary" * 20_000, "longer than 64 KiB"),
    ],
)
def test_what_cannot_be_stored_is_an_error(name: str, value: str | bytes, said: str) -> None:
    """Exit status 1, one sentence, no value in it."""
    result = run("set", name, value=value)

    assert (result.exit_code, said in result.stderr) == (1, True)


def test_list_shows_who_uses_what_and_what_is_missing(home: Path) -> None:
    """A secret that a setting names and that is not there stands out."""
    run("set", "wecom_webhook", value=CANARY)
    run("set", "spare", value=CANARY)

    lines = run("list", "--config", str(home / "notifier.yaml")).stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["sms_token", "spare", "wecom_webhook"]
    assert "not set here" in lines[0]
    assert lines[0].endswith("notifier.yaml: channels.sms.headers.Authorization")
    assert lines[1].endswith("  -")
    assert lines[2].endswith("notifier.yaml: channels.wecom.webhook")


def test_list_finds_the_notifiers_file_by_itself(home: Path) -> None:
    """The stack's settings name it; a script reads JSON."""
    (home / "ddcolor-obs.toml").write_text('notifier = "notifier.yaml"\n')
    run("set", "wecom_webhook", value=CANARY)

    data = json.loads(run("list", "--json").stdout)

    assert data["store"] == str(open_store().path)
    by_name = {entry["name"]: entry for entry in data["secrets"]}
    assert by_name["wecom_webhook"]["used_by"] == ["notifier.yaml: channels.wecom.webhook"]
    assert by_name["wecom_webhook"]["set_at"].endswith("Z")
    assert by_name["sms_token"]["set_at"] is None


def test_an_empty_store_says_so() -> None:
    """It is no error."""
    result = run("list")

    assert (result.exit_code, "holds no secret" in result.stdout) == (0, True)


def test_rotate_says_what_it_did() -> None:
    """The values are as before."""
    run("set", "wecom_webhook", value=CANARY)

    assert run("rotate").stdout.startswith("1 secrets are encrypted under a new key")
    assert json.loads(run("rotate", "--json").stdout)["rotated"] == 1
    assert open_store().get("wecom_webhook") == CANARY


def test_a_secret_in_use_is_removed_only_by_force(home: Path) -> None:
    """Who uses it stands in the error."""
    run("set", "wecom_webhook", value=CANARY)
    config = ("--config", str(home / "notifier.yaml"))

    refused = run("rm", "wecom_webhook", *config)
    assert refused.exit_code == 1
    assert "used by notifier.yaml: channels.wecom.webhook" in refused.stderr

    assert run("rm", "wecom_webhook", "--force", *config).exit_code == 0
    assert open_store().times() == {}
    assert run("rm", "wecom_webhook").exit_code == 1


def test_a_configuration_that_is_no_yaml_is_named_without_its_text(home: Path) -> None:
    """A parser's message quotes the line, which may be a secret written in the wrong place."""
    (home / "notifier.yaml").write_text("webhook: [canary")

    result = run("list", "--config", str(home / "notifier.yaml"))

    assert (result.exit_code, "not YAML" in result.stderr) == (1, True)


def test_a_value_is_in_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an error that nobody foresaw does not carry it."""

    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("ddcolor_operations.secrets.store.write_private", fail)

    result = CliRunner().invoke(secrets, ["set", "wecom_webhook"], input=CANARY)

    assert isinstance(result.exception, RuntimeError)
    assert "canary" not in result.output + repr(result.exception)
