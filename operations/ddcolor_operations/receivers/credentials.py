"""Random keys for the local receivers, and the secret files with which a notifier reaches them."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from ddcolor_operations.receivers.dingtalk import DingTalkRobot
from ddcolor_operations.receivers.sms import SmsGateway
from ddcolor_operations.receivers.wecom import WeComRobot
from ddcolor_operations.secrets.files import write_private


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the local receivers demand from their senders."""

    wecom_key: str
    dingtalk_token: str
    dingtalk_signing_secret: str
    sms_token: str

    def receivers(self) -> tuple[WeComRobot, DingTalkRobot, SmsGateway]:
        """Return the receivers that demand these."""
        return (
            WeComRobot(self.wecom_key),
            DingTalkRobot(self.dingtalk_token, signing_secret=self.dingtalk_signing_secret),
            SmsGateway(self.sms_token),
        )


def ensure_credentials(folder: Path, port: int) -> Credentials:
    """Return the credentials in ``folder``, made at random the first time.

    Writes beside them, for receivers on ``port`` and readable by this user only, the files that a
    notifier's configuration names: ``wecom.webhook``, ``dingtalk.webhook``,
    ``dingtalk.signing_secret``, ``sms.url`` and ``sms.authorization``. Raises OSError, and
    ValueError for a file that somebody has changed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = folder / "credentials.json"
    if store.exists():
        try:
            credentials = Credentials(**json.loads(store.read_text(encoding="utf-8")))
        except TypeError:
            raise ValueError(
                f"{store} does not hold the receivers' credentials: remove it"
            ) from None
    else:
        credentials = Credentials(
            wecom_key=secrets.token_hex(16),
            dingtalk_token=secrets.token_hex(32),
            dingtalk_signing_secret=f"SEC{secrets.token_hex(32)}",
            sms_token=secrets.token_urlsafe(24),
        )
        write_private(store, json.dumps(asdict(credentials)).encode())
    wecom, dingtalk, sms = credentials.receivers()
    base = f"http://127.0.0.1:{port}"
    for name, value in {
        "wecom.webhook": f"{base}{wecom.path}?{wecom.query()}",
        "dingtalk.webhook": f"{base}{dingtalk.path}?{dingtalk.query()}",
        "dingtalk.signing_secret": credentials.dingtalk_signing_secret,
        "sms.url": f"{base}{sms.path}",
        "sms.authorization": f"Bearer {credentials.sms_token}",
    }.items():
        write_private(folder / name, value.encode())
    return credentials
