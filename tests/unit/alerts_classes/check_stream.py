"""The worker of the log watcher, ended at any moment.

Run in ElastAlert2's environment by tests/integration/test_elastalert_rules.py.
"""

# ruff: noqa: PT027, S311  # pytest is not installed there; chance is for variety, not for secrets

from __future__ import annotations

import json
import random
import tempfile
import unittest
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ddcolor_alerts.store import Store, StoreError
from ddcolor_alerts.stream import Worker

RULES = Path(__file__).parents[3] / "elastalert_rules" / "rules"
START = datetime.now(UTC) + timedelta(minutes=1)
KINDS: tuple[dict[str, Any], ...] = (
    {"event.name": "comfyui.prompt.finished", "comfyui.prompt.outcome": "failed"},
    {"event.name": "comfyui.prompt.finished", "comfyui.prompt.outcome": "failed"},
    {"event.name": "comfyui.prompt.finished", "comfyui.prompt.outcome": "success"},
    {
        "event.name": "comfyui.node.finished",
        "comfyui.error.kind": "out_of_memory",
        "comfyui.error.level": 2,
        "comfyui.node.class_type": "DDColor_Colorize",
    },
    {"event.name": "comfyui.service.heartbeat", "comfyui.queue.depth": 30},
)


def lines(number: int) -> list[bytes]:
    """Return documents two seconds apart with a tick behind each; each has its number."""
    found = []
    for index in range(number):
        at = START + timedelta(seconds=2 * index)
        attributes = dict(random.choice(KINDS))
        text = "Out of memory: x" if "comfyui.error.kind" in attributes else "x"
        document = {
            "_id": f"uid-{index}",
            "@timestamp": at.isoformat(),
            "severity_number": 17,
            "body": {"text": text},
            "attributes": {**attributes, "log.record.uid": f"uid-{index}"},
            "resource": {"attributes": {"service.name": random.choice("ab")}},
            "event": {"ingested": at.isoformat().replace("+00:00", "Z")},
        }
        message = {"document": document, "at": at.isoformat(), "position": index + 1}
        found += [message, {"tick": at.isoformat(), "position": index + 1}]
    return [json.dumps(message).encode() for message in found]


class KilledError(Exception):
    """The process is gone."""


class Reader:
    """What follows the log: it goes on at the position that the worker names."""

    def __init__(self, state: Path, chance: float) -> None:
        self.state = state
        self.chance = chance
        self.alerts: dict[str, dict[str, Any]] = {}
        self.given = 0

    def read(self, messages: list[bytes]) -> None:
        """Give all messages to one worker after the other, each until it ends."""
        position = -1
        while position != len(messages) // 2:
            store = Store(self.state)
            worker = Worker(store, RULES)
            answers = list(worker.begin())
            position = answers[0]["ready"]["position"] or 0
            self.note(answers)
            try:
                rest = messages[2 * position :]
                while rest:
                    size = random.randint(1, 15)
                    self.work(store, worker, rest[:size])
                    rest = rest[size:]
                position = len(messages) // 2
            except KilledError:
                position = -1
            finally:
                # As the end of a process does: what is not committed is gone.
                store.close()

    def work(self, store: Store, worker: Worker, batch: list[bytes]) -> None:
        """Give a batch; the worker may end before its commit, or before anybody has its answers."""
        commit, chance = store.commit, random.random()
        if chance < self.chance / 2:

            def end() -> None:
                raise KilledError

            store.commit = end  # type: ignore[method-assign]
        answers = list(worker.work(batch))
        store.commit = commit  # type: ignore[method-assign]
        if chance < self.chance:
            raise KilledError
        self.note(answers)

    def note(self, answers: list[dict[str, Any]]) -> None:
        """Keep the alerts; one that is given again has to be the same."""
        for alert in (answer["alert"] for answer in answers if "alert" in answer):
            self.given += 1
            assert self.alerts.setdefault(alert["alert_id"], alert) == alert


class StreamTest(unittest.TestCase):
    """What comes of a log however often the worker is killed."""

    def test_kills_lose_no_alert_and_make_none(self) -> None:
        """The alerts are those of a worker that was never ended, with all their numbers."""
        random.seed(11)
        for _ in range(2):
            messages = lines(100)
            with tempfile.TemporaryDirectory() as folder:
                whole = Reader(Path(folder) / "whole", 0.0)
                whole.read(messages)
                cut = Reader(Path(folder) / "cut", 0.3)
                cut.read(messages)
            assert cut.alerts == whole.alerts
            assert len({alert["rule"] for alert in whole.alerts.values()}) >= 4
            assert whole.given == len(whole.alerts)

    def test_a_state_that_is_of_no_use_is_said(self) -> None:
        """A damaged file, one of another version, a folder and no folder are a sentence each."""
        with tempfile.TemporaryDirectory() as folder:
            damaged = Path(folder) / "damaged"
            damaged.write_bytes(b"no database" * 1000)
            newer = Path(folder) / "newer"
            store = Store(newer)
            store._db.execute("PRAGMA user_version = 99")
            store.close()
            for path, said in (
                (damaged, "is damaged"),
                (newer, "another version"),
                (Path(folder), "cannot be used"),
                (damaged / "below" / "a file", "cannot be used"),
            ):
                with self.subTest(path), self.assertRaisesRegex(StoreError, said):
                    Store(path)

    def test_a_state_is_closed_to_others_from_the_first_moment(self) -> None:
        """Records stand in it, and in the file that SQLite writes ahead of it."""
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "state")
            files = list(Path(folder).iterdir())
            assert {file.name for file in files} >= {"state", "state-wal"}
            assert all(file.stat().st_mode & 0o077 == 0 for file in files)
            store.close()


RULE = """\
name: changing
index: logs-ddcolor.otel-default
timestamp_field: event.ingested
realert: {minutes: 0}
alert: ddcolor_alerts.alerter.NotifierAlerter
notifier_url: http://notifier.invalid
x-ddcolor: {kind: execution_error, level: 2}
"""
FAILURES = """\
type: ddcolor_alerts.consecutive.ConsecutiveFailures
filter: [{term: {event.name: comfyui.prompt.finished}}]
query_key: resource.attributes.service.name
failure: {attributes.comfyui.prompt.outcome: failed}
success: {attributes.comfyui.prompt.outcome: success}
threshold: 2
"""
SILENCE = """\
type: ddcolor_alerts.silence.SilentService
filter: [{term: {event.name: comfyui.service.heartbeat}}]
query_key: resource.attributes.service.name
sign_of_life: {attributes.event.name: comfyui.service.heartbeat}
good_bye: {attributes.event.name: comfyui.service.stopped}
silent_after: {seconds: 90}
"""


class SavedRuleTest(unittest.TestCase):
    """A rule file that is saved while the worker runs."""

    def setUp(self) -> None:
        """Make a folder of rules with one rule."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.state, self.rules = Path(folder) / "state", Path(folder) / "rules"
        self.rules.mkdir()
        self.write(FAILURES)
        self.worker = self.start()

    def write(self, text: str) -> None:
        """Save the rule."""
        (self.rules / "changing.yaml").write_text(RULE + text, encoding="utf-8")

    def start(self) -> Worker:
        """Begin as a new process does."""
        self.store = Store(self.state)
        worker = Worker(self.store, self.rules)
        ready, *_ = worker.begin()
        assert ready["ready"]["rules"] == ["changing"]
        return worker

    def saved(self) -> dict[str, Any]:
        """Return what the worker says of the rule that was saved."""
        tick = json.dumps({"tick": START.isoformat()}).encode()
        (answer,) = self.worker.work([tick])
        found: dict[str, Any] = answer["rules"]
        return found

    def test_another_type_begins_with_nothing(self) -> None:
        """What a rule of this name knew as another type is not taken for its own."""
        loaded = {"loaded": ["changing"], "removed": [], "refused": {}}
        self.write(SILENCE)
        assert self.saved() == loaded
        list(self.worker.work(lines(30)))
        self.write(FAILURES)
        assert self.saved() == loaded
        self.store.close()
        self.start()
        self.store.close()

    def test_whatever_is_wrong_with_a_filter_is_said(self) -> None:
        """A filter that cannot even be read ends nothing: its file is refused, the old one runs."""
        for wrong in ("[text]", "[{bool: {should: [], minimum_should_match: most}}]"):
            with self.subTest(wrong):
                filter_line = "filter: [{term: {event.name: comfyui.prompt.finished}}]"
                self.write(FAILURES.replace(filter_line, f"filter: {wrong}"))
                (said,) = self.saved()["refused"].values()
                assert "changing" in said
                assert list(self.worker.work(lines(3)))[-1] == {"done": 3}
        self.store.close()


if __name__ == "__main__":
    unittest.main()
