"""Nothing of a user's paths, addresses and secrets leaves the machine that knows it."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import requests
from elasticsearch import Elasticsearch

from ddcolor_operations.demo.client import new_trace_id
from ddcolor_operations.demo.gather import Gathered
from ddcolor_operations.demo.photos import samples, workflow
from ddcolor_operations.stack import RunningStack
from tests.support.elastic import eventually
from tests.support.stacks import alerts, client_of, documents, received


@dataclass
class Planted:
    """Texts that must be nowhere, by what they are; ``alert_id`` is of the alert that has some."""

    texts: dict[str, str] = field(default_factory=dict)
    alert_id: str = ""

    def found_in(self, text: str) -> list[str]:
        """Return what of the planted is in ``text``."""
        return [name for name, value in self.texts.items() if value in text]


@pytest.fixture(scope="module")
def planted(gathered: Gathered, stack: RunningStack, elastic: Elasticsearch) -> Planted:
    """Bring secrets in by every door that a user, a client or the configuration has."""
    assert gathered.run.photos
    planted = Planted()
    _names_of_photos(stack, planted)
    _requests_with_tokens(stack, planted)
    _alert_with_secrets(stack, planted)
    _log_of_a_program_that_redacts_nothing(stack, elastic, planted)
    for file in (stack.config.data_dir("receivers")).iterdir():
        if file.suffix in {".webhook", ".signing_secret", ".authorization"}:
            value = file.read_text().strip()
            planted.texts[file.name] = value.rpartition("=")[2].removeprefix("Bearer ")
    planted.texts["admin token"] = stack.config.admin_token
    for name in ("es_password", "secrets.key"):
        planted.texts[name] = (stack.config.state / "secrets" / name).read_text().strip()
    assert all(len(text) >= 8 for text in planted.texts.values())
    return planted


def test_nothing_is_in_elasticsearch(planted: Planted, elastic: Elasticsearch) -> None:
    """No document of any data stream, nor of ElastAlert2's, holds a planted text."""
    leaks = [(planted.found_in(text), text) for text in documents(elastic)]

    assert len(leaks) > 100
    assert [leak for leak in leaks if leak[0]] == []


def test_nothing_is_in_the_logs(planted: Planted, stack: RunningStack) -> None:
    """No log file of any part holds a planted text."""
    files = [file for file in stack.config.log_dir.rglob("*") if file.is_file()]
    leaks = {
        file.name: found
        for file in files
        if file.name != "planted.jsonl"
        and (found := planted.found_in(file.read_text(errors="replace")))
    }

    assert len(files) > 10
    assert leaks == {}


def test_nothing_is_in_a_message(planted: Planted, stack: RunningStack) -> None:
    """No message in any chat, phone or mailbox, and no alert at the notifier, holds one."""
    about = eventually(
        lambda: [m for m in received(stack) if planted.alert_id[:8] in m["text"]],
        lambda found: len(found) == 4,
        timeout_s=30,
    )
    text = json.dumps([received(stack), alerts(stack)], ensure_ascii=False)
    (alert,) = (a for a in alerts(stack) if a["alert_id"] == planted.alert_id)

    assert max(delivery["attempts"] for delivery in alert["deliveries"]) > 1
    assert {message["receiver"] for message in about} == {"wecom", "dingtalk", "sms", "mail"}
    assert planted.found_in(text) == []


def test_nothing_is_in_an_argument_or_the_environment_of_a_process(
    planted: Planted, stack: RunningStack
) -> None:
    """What ``ps`` and /proc show of each process of the stack holds no planted text."""
    supervisor = psutil.Process(stack.status().supervisor_pid)
    processes = [supervisor, *supervisor.children(recursive=True)]
    leaks = {
        (process.name(), file): found
        for process in processes
        for file in ("cmdline", "environ")
        if (found := planted.found_in(_read(Path("/proc") / str(process.pid) / file)))
    }

    assert len(processes) > len(stack.status().parts)
    assert leaks == {}


def test_nothing_is_in_what_the_commands_say(planted: Planted, stack: RunningStack) -> None:
    """An operator who looks at the stack, its alerts and its secrets sees no planted text."""
    state, url = str(stack.config.state), stack.config.url("notifier")
    said = {
        command: _said(*command)
        for command in (
            ("status", "--state", state),
            ("status", "--state", state, "--json"),
            ("alerts", "--url", url, "list"),
            ("alerts", "--url", url, "show", planted.alert_id),
            ("alerts", "--url", url, "list", "--json"),
            ("logs", "--state", state, "notifier", "--lines", "100000"),
            ("logs", "--state", state, "elastalert", "--lines", "100000"),
            ("secrets", "list", "--config", str(stack.config.notifier)),
            ("secrets", "list", "--config", str(stack.config.notifier), "--json"),
        )
    }

    assert all(said.values())
    assert {command: planted.found_in(text) for command, text in said.items()} == {
        command: [] for command in said
    }


def test_nothing_is_in_the_files_that_the_parts_keep(planted: Planted, stack: RunningStack) -> None:
    """Outbox, agent's queue, written configurations and the secrets' store hold none in clear."""
    config = stack.config
    folders = (config.data_dir("notifier"), config.data_dir("agent"), config.run_dir)
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    files += [config.state / "notifier.yaml", config.state / "secrets" / "secrets.json"]
    leaks = {file.name: found for file in files if (found := planted.found_in(_read(file)))}

    assert {"outbox.sqlite3", "outbox.sqlite3-wal", "status.json"} <= {file.name for file in files}
    assert leaks == {}


def test_no_folder_of_this_machine_is_in_elasticsearch(
    planted: Planted, stack: RunningStack, elastic: Elasticsearch
) -> None:
    """The missing checkpoint's error names a file, never the folder it was looked for in."""
    state = str(stack.config.state)

    assert [text for text in documents(elastic) if state in text] == []


def _read(file: Path) -> str:
    return file.read_bytes().decode(errors="replace")


def _said(*arguments: str) -> str:
    """Return all that a command prints; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", "from ddcolor_operations.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _names_of_photos(stack: RunningStack, planted: Planted) -> None:
    client = client_of(stack)
    name = planted.texts["photo's name"] = f"王芳身份证{secrets.token_hex(6)}"
    folder = planted.texts["photo's folder"] = f"Desktop{secrets.token_hex(6)}"
    photo = samples(per_scenario=1)[0].file
    stored = client.upload(photo, f"{name}.jpg").json()["name"]
    prompt_id = client.queue(workflow("person", stored), "person", new_trace_id())
    assert client.wait(prompt_id, 60).success
    assert not client.upload(Path(__file__), f"{name}.jpg").ok
    assert not client.upload(photo, f"/home/zhangwei/{folder}/../../x.jpg").ok
    client.arm("execution_error")
    again = client.upload(photo, f"{name}-2.jpg").json()["name"]
    failing = client.queue(workflow("person", again), "person", new_trace_id())
    assert not client.wait(failing, 60).success
    refused = requests.post(
        stack.config.url("service") + "/prompt",
        json={"prompt": workflow("person", f"{name}-gone.jpg")},
        timeout=30,
    )
    assert refused.status_code == requests.codes.bad_request


def _requests_with_tokens(stack: RunningStack, planted: Planted) -> None:
    url = stack.config.url("service")
    token = planted.texts["a wrong admin token"] = secrets.token_urlsafe(24)
    query = planted.texts["a token in a query"] = secrets.token_urlsafe(24)
    address = planted.texts["a client's address"] = "203.0.113.77"
    key = planted.texts["a paid node's key"] = secrets.token_urlsafe(24)
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
    body = {"kind": token}
    requests.post(f"{url}/admin/faults", json=body, headers=headers, timeout=30)
    requests.get(f"{url}/view?filename=no.png&token={query}", headers=headers, timeout=30)
    prompt = {"prompt": {}, "extra_data": {"api_key_comfy_org": key}, "client_id": key}
    requests.post(f"{url}/prompt", json=prompt, headers=headers, timeout=30)


def _secret_text(planted: Planted, where: str) -> str:
    """Return an exception's text that holds a path, addresses, a token and a webhook's key."""
    unique = secrets.token_hex(6)
    values = {
        f"path in {where}": f"/home/zhangwei{unique}",
        f"address in {where}": f"198.51.100.{secrets.randbelow(200) + 20}",
        f"key in {where}": secrets.token_urlsafe(24),
        f"token in {where}": secrets.token_urlsafe(24),
        f"mail in {where}": f"user{unique}@example.com",
        f"telephone in {where}": f"139{secrets.randbelow(10**8):08d}",
    }
    planted.texts |= values
    path, address, key, token, mail, telephone = values.values()
    return (
        f"FileNotFoundError: {path}/photos/a.jpg while {address} sent it;"
        f" https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={key}"
        f" Authorization: Bearer {token} for {mail}, {telephone}"
    )


def _alert_with_secrets(stack: RunningStack, planted: Planted) -> None:
    """Raise an alert while its chats are down: errors of a delivery know the webhooks' keys."""
    planted.alert_id = secrets.token_hex(16)
    alert = {
        "alert_id": planted.alert_id,
        "rule": "keyword_output_damaged",
        "kind": "output_damaged",
        "level": 3,
        "service": "somebody-elses",
        "node": None,
        "node_id": None,
        "prompt_id": None,
        "trace_id": None,
        "occurred_at": datetime.now(UTC).isoformat(),
        "summary": _secret_text(planted, "an alert"),
        "count": 1,
        "values": {"hits": 1},
    }
    stack.kill("receivers")
    answer = requests.post(f"{stack.config.url('notifier')}/alerts", json=alert, timeout=30)
    assert answer.status_code == requests.codes.accepted


def _log_of_a_program_that_redacts_nothing(
    stack: RunningStack, elastic: Elasticsearch, planted: Planted
) -> None:
    """Write to the logs' folder as a foreign program would; the agent must redact it."""
    uid = secrets.token_hex(13).upper()
    text = _secret_text(planted, "a foreign log")
    line = {
        "@timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "log.level": "error",
        "message": f"Execution error: {text}",
        "service.name": "somebody-elses",
        "log.record.uid": uid,
        "error.message": text,
    }
    with (stack.config.log_dir / "planted.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    eventually(lambda: any(uid in text for text in _ids(elastic, uid)), timeout_s=30)


def _ids(elastic: Elasticsearch, uid: str) -> Iterator[str]:
    answer = elastic.search(index="logs-*", query={"ids": {"values": [uid]}})
    yield from (hit["_id"] for hit in answer["hits"]["hits"])
