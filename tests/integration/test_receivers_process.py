"""The receivers as their own process, with a notifier that uses the files they write."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests
import yaml

from tests.support.alerts import alert_json
from tests.support.notifier_process import NotifierProcess, free_port


def test_the_demos_receivers_and_a_notifier_work_together(tmp_path: Path) -> None:
    """The secret files beside the store are all that the notifier needs; each message is stored."""
    port, smtp_port = free_port(), free_port()
    store = tmp_path / "receivers" / "messages.jsonl"
    receivers = subprocess.Popen(
        [
            *(sys.executable, "-m", "ddcolor_operations.receivers", "--port", str(port)),
            *("--smtp-port", str(smtp_port), "--store", str(store)),
        ]
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert receivers.poll() is None
            try:
                requests.get(f"{url}/healthz", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        config = tmp_path / "notifier.yaml"
        config.write_text(yaml.safe_dump(settings(smtp_port)), encoding="utf-8")
        notifier = NotifierProcess(config, free_port())
        notifier.start()
        try:
            notifier.post(alert_json(level=3))
            notifier.settled()
        finally:
            assert notifier.stop() == 0
        shown = requests.get(f"{url}/received", timeout=5).json()["messages"]
    finally:
        receivers.terminate()
        assert receivers.wait(30) == 0

    stored = [json.loads(line) for line in store.read_text(encoding="utf-8").splitlines()]
    assert {message["receiver"] for message in stored} == {"wecom", "dingtalk", "sms", "mail"}
    assert sorted(stored, key=lambda message: message["received_at"]) == shown
    assert all(alert_json()["alert_id"][:8] in message["text"] for message in stored)
    assert store.stat().st_mode & 0o777 == 0o600


def settings(smtp_port: int) -> dict[str, object]:
    return {
        "channels": {
            "wecom": {"webhook": {"file": "receivers/wecom.webhook"}},
            "dingtalk": {
                "webhook": {"file": "receivers/dingtalk.webhook"},
                "signing_secret": {"file": "receivers/dingtalk.signing_secret"},
            },
            "sms": {
                "url": {"file": "receivers/sms.url"},
                "headers": {"Authorization": {"file": "receivers/sms.authorization"}},
                "to": ["+8613800000000"],
                "success": {"field": "code", "value": "OK"},
            },
            "mail": {
                "host": "127.0.0.1",
                "port": smtp_port,
                "security": "none",
                "from": "ddcolor@example.com",
                "to": ["operator@example.com"],
            },
        }
    }


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Exit status 2 and the way out instead of a traceback."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        result = subprocess.run(
            [
                *(sys.executable, "-m", "ddcolor_operations.receivers"),
                *("--port", str(holder.getsockname()[1]), "--smtp-port", str(free_port())),
                *("--store", str(tmp_path / "m.jsonl")),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert result.returncode == 2
    assert "Address already in use" in result.stderr
    assert "Traceback" not in result.stderr
