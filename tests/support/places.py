"""Running receivers with the secret files and the configuration that reach them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ddcolor_operations.receivers import (
    DingTalkRobot,
    MailReceiver,
    Receiver,
    ReceiverServer,
    SmsGateway,
    WeComRobot,
    serve,
)

WECOM_KEY = "canary-wecom-key-693a91f6"
DINGTALK_TOKEN = "canary-dingtalk-token-566cc69d"
SIGNING_SECRET = "SECcanary-dingtalk-secret"
SMS_TOKEN = "canary-sms-token"
CANARIES = ("canary-wecom-key", "canary-dingtalk-token", "canary-dingtalk-secret", SMS_TOKEN)


class Places:
    """The four places that alerts go to, and the files that name them."""

    def __init__(self, folder: Path, *, per_minute: int = 20) -> None:
        self.folder = folder
        self._per_minute = per_minute
        self.wecom = WeComRobot(WECOM_KEY, per_minute=per_minute)
        self.dingtalk = DingTalkRobot(
            DINGTALK_TOKEN, signing_secret=SIGNING_SECRET, per_minute=per_minute
        )
        self.sms = SmsGateway(SMS_TOKEN)
        self.mail = MailReceiver()
        self.all: tuple[Receiver, ...] = (self.wecom, self.dingtalk, self.sms, self.mail)

    def write_secrets(self, server: ReceiverServer) -> None:
        """Write the secret files for the running server."""
        for name, value in {
            "wecom.webhook": server.url(self.wecom),
            "dingtalk.webhook": server.url(self.dingtalk),
            "dingtalk.secret": SIGNING_SECRET,
            "sms.url": server.url(self.sms),
            "sms.authorization": f"Bearer {SMS_TOKEN}",
        }.items():
            (self.folder / name).write_text(value + "\n", encoding="utf-8")

    def config(self, *, timeout_s: float = 5.0, **top: Any) -> Path:
        """Write a configuration with all four channels; ``top`` adds or replaces settings."""
        channels = {
            "wecom": {
                "webhook": {"file": "wecom.webhook"},
                "timeout_s": timeout_s,
                "per_minute": self._per_minute,
            },
            "dingtalk": {
                "webhook": {"file": "dingtalk.webhook"},
                "signing_secret": {"file": "dingtalk.secret"},
                "timeout_s": timeout_s,
                "per_minute": self._per_minute,
            },
            "sms": {
                "url": {"file": "sms.url"},
                "headers": {"Authorization": {"file": "sms.authorization"}},
                "to": ["+8613800000000"],
                "success": {"field": "code", "value": "OK"},
                "timeout_s": timeout_s,
                "per_minute": 6000,
            },
            "mail": {
                "host": "127.0.0.1",
                "port": self.mail.port,
                "security": "none",
                "from": "ddcolor@example.com",
                "to": ["operator@example.com"],
                "timeout_s": timeout_s,
                "per_minute": 6000,
            },
        }
        path = self.folder / "notifier.yaml"
        settings = {"port": 0, "data_dir": "data", "timezone": "UTC", "channels": channels, **top}
        path.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
        return path


@contextlib.contextmanager
def places(folder: Path, *, per_minute: int = 20) -> Iterator[Places]:
    """Run the four receivers; their secret files lie in ``folder``."""
    all_places = Places(folder, per_minute=per_minute)
    with (
        all_places.mail,
        serve(all_places.wecom, all_places.dingtalk, all_places.sms) as server,
    ):
        all_places.write_secrets(server)
        yield all_places
