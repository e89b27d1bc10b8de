"""The rules of a folder as they run without Elasticsearch, loaded again when they are saved.

A file that cannot be loaded is refused with a text, and the version of it that ran before goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from elastalert.util import EAException

from ddcolor_alerts.engine import Document, Found, RuleRun
from ddcolor_alerts.fields import Fields
from ddcolor_alerts.loader import CheckedLoader, as_rule_error
from ddcolor_alerts.store import Store

# What ElastAlert2's config says in a real run; nothing connects to these addresses.
CONF: dict[str, Any] = {
    "es_host": "none.invalid",
    "es_port": 9200,
    "rules_folder": "",
    "run_every": timedelta(seconds=1),
    "buffer_time": timedelta(minutes=2),
}
# Of a file's hash, the part that covers the file itself.
_OWN_HASH = 20


@dataclass(slots=True)
class Changes:
    """What has changed in the folder: names of rules, and refused files with their reason."""

    loaded: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.loaded or self.removed or self.refused)


class Rulebook:
    """All rules of a folder on one store."""

    def __init__(self, folder: Path, store: Store) -> None:
        # The rules name the notifier's address; whoever reads our alerts knows it better.
        os.environ.setdefault("DDCOLOR_NOTIFIER_URL", "http://notifier.invalid")
        self._folder = folder
        self._store = store
        self._conf = {**CONF, "rules_folder": str(folder), "scan_subdirectories": True}
        self._loader = CheckedLoader(self._conf)
        self._seen: dict[str, bytes] = {}
        self._runs: dict[str, RuleRun] = {}

    @property
    def names(self) -> list[str]:
        """The rules that run."""
        return sorted(run.name for run in self._runs.values())

    def reload(self, now: datetime) -> Changes:
        """Load what was saved since the last look, forget what was deleted or switched off."""
        changes = Changes()
        hashes: dict[str, bytes] = self._loader.get_hashes(self._conf)
        for file in [file for file in self._runs if file not in hashes]:
            changes.removed.append(self._remove(file))
        for file, content in hashes.items():
            if self._seen.get(file) == content:
                continue
            try:
                self._load(file, now, changes)
            except EAException as error:
                changes.refused[file] = str(error)
            # The hash covers imported files once they are known, that is after the loading.
            after = self._loader.get_rule_file_hash(file)
            if after[:_OWN_HASH] == content[:_OWN_HASH]:
                hashes[file] = after
        self._seen = hashes
        return changes

    def _load(self, file: str, now: datetime, changes: Changes) -> None:
        rule = self._loader.load_configuration(file, self._conf)
        old = self._runs.get(file)
        if not rule.get("is_enabled", True):
            if old is not None:
                changes.removed.append(self._remove(file))
            return
        if old is not None:
            # The new version goes on with what the old one knows.
            old.save(now)
        with as_rule_error(file):
            self._runs[file] = RuleRun(rule, self._store, now)
        if old is not None and old.name != rule["name"]:
            self._store.forget_rule(old.name)
            changes.removed.append(old.name)
        changes.loaded.append(rule["name"])

    def _remove(self, file: str) -> str:
        name = self._runs.pop(file).name
        self._store.forget_rule(name)
        return name

    def take(self, index: str, documents: Sequence[Document], now: datetime) -> Found:
        """Give documents of one index, in their order, to every rule that reads it."""
        found = Found()
        new = [(doc, Fields(doc)) for doc in documents if self._store.is_new(str(doc["_id"]))]
        for run in self._runs.values():
            if new and run.reads(index):
                found += self._guarded(run, lambda run: run.take(new, now))
        return found

    def tick(self, now: datetime) -> Found:
        """Let the time be ``now`` for every rule."""
        found = Found()
        for run in self._runs.values():
            found += self._guarded(run, lambda run: run.tick(now))
        return found

    def save(self, now: datetime) -> None:
        """Make all that was taken durable."""
        for run in self._runs.values():
            run.save(now)
        self._store.commit()

    @staticmethod
    def _guarded(run: RuleRun, step: Callable[[RuleRun], Found]) -> Found:
        """Let no rule keep the others from theirs."""
        try:
            return step(run)
        except Exception as error:  # noqa: BLE001  # whatever a rule type of anybody's raises
            return Found(problems=[f"{run.name}: {type(error).__name__}: {error}"])
