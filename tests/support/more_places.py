"""The places that alerts can go to besides the usual four, and channels that reach them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ddcolor_operations.notifier.channels import make_channel
from ddcolor_operations.notifier.channels.base import Channel
from ddcolor_operations.notifier.secrets import readers
from ddcolor_operations.notifier.settings import Section
from ddcolor_operations.receivers import (
    AlertmanagerDoor,
    AliyunGateway,
    HealerDoor,
    ReceiverServer,
    TencentGateway,
    WebhookDoor,
    serve,
)
from ddcolor_operations.receivers.http import HttpReceiver

MORE_CANARIES = ("canary-heal", "canary-hook", "canary-aliyun", "canary-tencent")
NAMES = ("heal", "webhook", "alertmanager", "aliyun_sms", "tencent_sms")


class MorePlaces:
    """One receiver of each kind, and the settings of a channel for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receivers: dict[str, HttpReceiver] = {
            "heal": HealerDoor("canary-heal"),
            "webhook": WebhookDoor("canary-hook"),
            "alertmanager": AlertmanagerDoor(),
            "aliyun_sms": AliyunGateway("KEY", "canary-aliyun"),
            "tencent_sms": TencentGateway("ID", "canary-tencent"),
        }
        self._base = ""

    def use(self, server: ReceiverServer) -> None:
        """Write the secret files for the running server."""
        self._base = f"http://127.0.0.1:{server.port}"
        for name, value in {
            "base.url": self._base,
            "heal.url": server.url(self.receivers["heal"]),
            "heal.secret": "canary-heal",
            "hook.url": server.url(self.receivers["webhook"]),
            "hook.secret": "canary-hook",
            "aliyun.id": "KEY",
            "aliyun.secret": "canary-aliyun",
            "tencent.id": "ID",
            "tencent.secret": "canary-tencent",
        }.items():
            (self.folder / name).write_text(value + "\n", encoding="utf-8")

    def settings(self, name: str, **changes: Any) -> dict[str, Any]:
        """Return the settings of the channel ``name``."""
        cloud = {"sign_name": "照片修复", "to": ["+8613800000000"]}
        settings: dict[str, dict[str, Any]] = {
            "heal": {"url": {"file": "heal.url"}, "secret": {"file": "heal.secret"}},
            "webhook": {"url": {"file": "hook.url"}, "signing_secret": {"file": "hook.secret"}},
            "alertmanager": {"url": {"file": "base.url"}},
            "aliyun_sms": cloud
            | {
                "endpoint": self._base + "/aliyun/",
                "access_key_id": {"file": "aliyun.id"},
                "access_key_secret": {"file": "aliyun.secret"},
                "template_code": "SMS_1",
                "params": {"what": "{{ level }} {{ title }}", "where": "{{ service }}"},
            },
            "tencent_sms": cloud
            | {
                "endpoint": self._base + "/tencent/",
                "secret_id": {"file": "tencent.id"},
                "secret_key": {"file": "tencent.secret"},
                "sdk_app_id": "1400006666",
                "template_id": "1110",
                "params": ["{{ title }}", "{{ service }}", "{{ count }}"],
            },
        }
        return {"timeout_s": 5.0, **settings[name], **changes}

    def channel(self, name: str, **changes: Any) -> Channel:
        """Return the channel ``name``."""
        data = self.settings(name, **changes)
        section = Section(data, name, base=self.folder, secrets=readers(self.folder))
        return make_channel(name, section)


@contextlib.contextmanager
def more_places(folder: Path) -> Iterator[MorePlaces]:
    """Run the receivers; the secret files lie in ``folder``."""
    made = MorePlaces(folder)
    with serve(*made.receivers.values()) as server:
        made.use(server)
        yield made
