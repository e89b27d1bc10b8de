"""The notifier's configuration where the user has given none."""

from __future__ import annotations

from pathlib import Path

import yaml

from ddcolor_operations.receivers.credentials import ensure_credentials

from .config import HOST, StackConfig


def write_notifier_config(config: StackConfig) -> Path:
    """Write the configuration and return its file.

    With the demo's local receivers on, every channel leads to them. Otherwise there is no channel:
    alerts are recorded until the user names a file of their own (setting ``notifier``).
    """
    file = config.run_dir / "notifier.yaml"
    channels = _demo_channels(config) if config.demo else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"channels": channels}, allow_unicode=True, sort_keys=False))
    return file


def _demo_channels(config: StackConfig) -> dict[str, object]:
    folder = config.data_dir("receivers")
    ensure_credentials(folder, config.port("receivers"))

    def secret(name: str) -> dict[str, str]:
        return {"file": str(folder / name)}

    return {
        "wecom": {"webhook": secret("wecom.webhook")},
        "dingtalk": {
            "webhook": secret("dingtalk.webhook"),
            "signing_secret": secret("dingtalk.signing_secret"),
        },
        "sms": {
            "url": secret("sms.url"),
            "headers": {"Authorization": secret("sms.authorization")},
            "to": ["13800000000"],
            "success": {"field": "code", "value": "OK"},
        },
        "mail": {
            "host": HOST,
            "port": config.port("receivers_smtp"),
            "security": "none",
            "from": "alerts@ddcolor.invalid",
            "to": ["operator@ddcolor.invalid"],
        },
    }
