"""A whole stack for the end-to-end tests, on ports of its own, and what they read from it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from elasticsearch import Elasticsearch, helpers

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.demo.client import ServiceClient
from ddcolor_operations.demo.gather import Gathered, gather
from ddcolor_operations.demo.run import Pace, Performance
from ddcolor_operations.stack import RunningStack, StackConfig, running_stack
from ddcolor_operations.stack.notifier_config import write_notifier_config
from ddcolor_operations.stack.ports import taken_ports
from tests.support.kept_secrets import moved, store_in

_OFFSETS = range(11_000, 40_000, 1_000)
_EVERYTHING = "logs-*,traces-*,metrics-*,elastalert*"


class KeptSecrets:
    """The stack's secrets as an operator keeps them: in the encrypted store, nothing in the clear.

    ``config`` is the stack's with a notifier that names them, ``environment`` what leads to them.
    Elasticsearch asks for no password here; ElastAlert2 is given one all the same.
    """

    def __init__(self, config: StackConfig) -> None:
        folder = config.state / "secrets"
        es_password = folder / "es_password"
        store, self.environment = store_in(folder)
        self.environment |= {"ES_USERNAME": "elastic", "ES_PASSWORD_FILE": str(es_password)}
        settings = yaml.safe_load(write_notifier_config(config).read_text(encoding="utf-8"))
        notifier = config.state / "notifier.yaml"
        notifier.write_text(
            yaml.safe_dump(moved(settings, config.run_dir, store)), encoding="utf-8"
        )
        es_password.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        self.config = replace(config, notifier=notifier)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these variables in this process, for those that it starts, within the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def free_config(state: Path, *, embedded: bool) -> StackConfig:
    """Return the settings of a demo's stack in ``state``, none of whose ports is taken."""
    for offset in _OFFSETS:
        config = StackConfig.create(
            state=state,
            config_file=Path(os.devnull),
            environ={},
            port_offset=offset,
            demo=True,
            embedded=embedded,
        )
        if not taken_ports(config):
            return config
    raise AssertionError("Every range of ports is taken")


@contextmanager
def whole_stack(
    keep_state: Callable[[], bool], *, embedded: bool = False
) -> Iterator[RunningStack]:
    """Run every part, receivers included, within the block; or those of the embedded stack.

    Afterwards the state, logs included, is removed unless ``keep_state`` says otherwise.
    """
    # Not pytest's own folder: that is closed to other users, and as root Elasticsearch is one.
    state = Path(tempfile.mkdtemp(prefix="ddcolor-e2e-"))
    state.chmod(0o755)
    config = free_config(state, embedded=embedded)
    kept = KeptSecrets(config)
    with _environment(kept.environment), running_stack(kept.config, print) as stack:
        yield stack
    if keep_state():
        print(f"The stack's logs are kept in {state / 'log'}")  # noqa: T201 - pytest shows it
    else:
        shutil.rmtree(state)


class _Printed:
    """Prints progress, which pytest shows when a test fails."""

    def doing(self, text: Text) -> None:
        """Say nothing of what has not ended."""

    def done(self, text: Text, *, good: bool = True) -> None:
        """Print what was done."""
        print("ok" if good else "NOT OK", text.en)  # noqa: T201 - pytest captures it


def perform(stack: RunningStack, pace: Pace) -> Gathered:
    """Perform the demo on ``stack``: photos, six faults, their alerts, and the facts read back."""
    started_at = datetime.now(UTC)
    performed = Performance(stack, stack.config.state / "results", _Printed(), pace).run()
    return gather(stack, performed, started_at)


def client_of(stack: RunningStack) -> ServiceClient:
    """Return a client of the stack's service."""
    return ServiceClient(stack.config.url("service"), stack.config.admin_token)


def alerts(stack: RunningStack) -> list[dict[str, Any]]:
    """Return every alert that the notifier has; none while it is down."""
    try:
        answer = requests.get(f"{stack.config.url('notifier')}/alerts", timeout=5)
    except requests.RequestException:
        return []
    found: list[dict[str, Any]] = answer.json()["alerts"]
    return found


def received(stack: RunningStack) -> list[dict[str, Any]]:
    """Return every message that the receivers ever got; their file outlives their process."""
    file = stack.config.data_dir("receivers") / "messages.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def documents(elastic: Elasticsearch) -> Iterator[str]:
    """Yield every document of every data stream and of ElastAlert2 as JSON text."""
    elastic.indices.refresh(index=_EVERYTHING)
    for hit in helpers.scan(elastic, index=_EVERYTHING, query={"query": {"match_all": {}}}):
        yield json.dumps(hit["_source"], ensure_ascii=False)


def log_lines(stack: RunningStack, part: str) -> list[dict[str, Any]]:
    """Return the JSON log lines of a part, rotated files included."""
    files = sorted(stack.config.log_dir.glob(f"{part}.jsonl*"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
