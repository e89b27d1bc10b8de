"""A notifier with every secret in the encrypted store: each one works, and none of them shows."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from ddcolor_operations.receivers import Failure, MailReceiver
from tests.support.alerts import alert_json
from tests.support.elastic import eventually
from tests.support.kept_secrets import moved, store_in
from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import (
    CANARIES,
    DINGTALK_TOKEN,
    SIGNING_SECRET,
    SMS_TOKEN,
    WECOM_KEY,
    Places,
    places,
)
from tests.support.tls import CERTIFICATE, server_context


class Guarded:
    """A notifier that asks for a token, and a mail server that asks for a login."""

    def __init__(self, all_places: Places, mail: MailReceiver, password: str) -> None:
        self.folder, self.places, self.mail = all_places.folder, all_places, mail
        self.token = secrets.token_urlsafe(24)
        store, self.environment = store_in(self.folder / "store")
        (self.folder / "smtp.password").write_text(password)
        (self.folder / "notifier.token").write_text(self.token)
        config = all_places.config(
            timeout_s=0.5,
            retry={"first_s": 0.05, "cap_s": 0.2},
            log_file="notifier.jsonl",
            api_token={"file": "notifier.token"},
        )
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings["channels"]["mail"] |= {
            "port": mail.port,
            "security": "starttls",
            "username": "ddcolor",
            "password": {"file": "smtp.password"},
            "ca_file": str(CERTIFICATE),
            "timeout_s": 5.0,
        }
        config.write_text(yaml.safe_dump(moved(settings, self.folder, store)), encoding="utf-8")
        for name in (*store.times(), "notifier.token"):
            (self.folder / name.replace("_", ".")).unlink(missing_ok=True)
        key = (self.folder / "store" / "secrets.key").read_text().strip()
        #: What must be nowhere.
        self.canaries = (*CANARIES, password, self.token, key)
        self.process = NotifierProcess(config, free_port(), **self.environment)

    def leaks(self, text: str) -> list[str]:
        """Return the start of each secret that is in ``text``."""
        return [canary[:12] for canary in self.canaries if canary in text]

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        """Ask the notifier with its token."""
        return requests.request(
            method,
            self.process.url + path,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=10,
            **more,  # type: ignore[arg-type]
        )

    def command(self, *arguments: str) -> str:
        """Return all that a command prints, whatever becomes of it."""
        done = subprocess.run(
            [sys.executable, "-m", "ddcolor_operations", *arguments],
            env={**os.environ, **self.environment, "DDCOLOR_NOTIFIER_URL": self.process.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    password = secrets.token_urlsafe(24)
    with (
        places(tmp_path, per_minute=6000) as all_places,
        MailReceiver(tls=server_context(), username="ddcolor", password=password) as mail,
    ):
        made = Guarded(all_places, mail, password)
        made.process.start()
        yield made
        made.process.kill()


def deliver(guarded: Guarded) -> None:
    """Have one alert delivered everywhere after every kind of failure, one of them an echo."""
    echo = f"refused: {WECOM_KEY} {DINGTALK_TOKEN} {SIGNING_SECRET} Bearer {SMS_TOKEN}"
    for robot in (guarded.places.wecom, guarded.places.dingtalk, guarded.places.sms):
        robot.fail(Failure.status(500))
        robot.fail(Failure.code(310000, echo))
        robot.fail(Failure.hang_up())
        robot.fail(Failure.silence())
    guarded.mail.fail(Failure.status(451))
    guarded.mail.fail(Failure.hang_up())
    assert guarded.ask("POST", "/alerts", json=alert_json(level=3)).status_code == 202
    eventually(
        lambda: [
            delivery["status"]
            for alert in guarded.ask("GET", "/alerts").json()["alerts"]
            for delivery in alert["deliveries"]
        ],
        lambda found: found == ["delivered"] * 4,
    )


def test_every_secret_of_the_store_opens_its_door(guarded: Guarded) -> None:
    """Robots, gateway and mail server take the messages, and nobody posts without the token."""
    deliver(guarded)

    used = (guarded.places.wecom, guarded.places.dingtalk, guarded.places.sms, guarded.mail)
    assert [len(place.received) for place in used] == [1] * 4
    assert guarded.mail.received[0].details["tls"]
    stranger = requests.post(f"{guarded.process.url}/alerts", json=alert_json(2), timeout=10)
    assert stranger.status_code == 401


def test_no_secret_is_in_a_file_an_answer_or_what_proc_shows(guarded: Guarded) -> None:
    """After failures of every kind: outbox, log, output, answers, arguments, environment."""
    deliver(guarded)
    files = [
        file for file in guarded.folder.rglob("*") if file.is_file() and file.name != "secrets.key"
    ]
    shown = {str(file.name): file.read_bytes().decode(errors="replace") for file in files}
    for path in ("/alerts", "/healthz", f"/alerts/{alert_json()['alert_id']}"):
        shown[path] = guarded.ask("GET", path).text
    wrong = requests.get(
        f"{guarded.process.url}/alerts", headers={"Authorization": "Bearer x"}, timeout=10
    )
    shown["refusal"] = wrong.text + str(wrong.headers)
    for name in ("cmdline", "environ"):
        shown[name] = (Path("/proc") / str(guarded.process.pid) / name).read_text(errors="replace")

    assert {"outbox.sqlite3", "secrets.json", "notifier.jsonl", "notifier.out"} <= shown.keys()
    assert "DDCOLOR_SECRETS_KEY_FILE" in shown["environ"]
    assert {name: guarded.leaks(text) for name, text in shown.items()} == {
        name: [] for name in shown
    }


def test_no_command_shows_a_secret(guarded: Guarded) -> None:
    """Neither those that work nor those that fail, and a rotation is not noticed."""
    config = str(guarded.folder / "notifier.yaml")
    said = [
        guarded.command("secrets", "list", "--config", config),
        guarded.command("secrets", "list", "--config", config, "--json"),
        guarded.command("secrets", "rm", "wecom_webhook", "--config", config),
        guarded.command("secrets", "rotate"),
        guarded.command("alerts", "list"),
        guarded.command("alerts", "preview", "out_of_memory", "--config", config),
    ]
    deliver(guarded)

    assert "channels.mail.password" in said[0]
    assert "give --force" in said[2]
    assert "encrypted under a new key" in said[3]
    assert [guarded.leaks(text) for text in said] == [[]] * len(said)
