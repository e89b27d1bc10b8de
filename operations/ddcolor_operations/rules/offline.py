"""Runs rule corpora in seconds, through ElastAlert2's own classes.

The documents go to ``ddcolor_alerts.offline`` in ElastAlert2's environment, which loads the rule
file with ElastAlert2's loader, evaluates its filter, feeds its rule type and makes the alerts as
the alerter does.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .corpus import START, Case, corpus_of, differences, read_corpus
from .files import Rule, load_rule

Documents = Sequence[tuple[timedelta, dict[str, Any]]]

_TIMEOUT_S = 300.0


class OfflineError(Exception):
    """The rules could not be run; the text holds what ElastAlert2's side said."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case; ``failures`` is empty if it was what the corpus expects."""

    rule: str
    case: Case
    alerts: list[dict[str, Any]]
    failures: list[str]

    def __str__(self) -> str:
        head = f"{self.case.corpus}:{self.case.line}: {self.case.name}"
        return "\n  ".join([head, *(self.failures or ["as expected"])])


def run_corpora(rule_files: Iterable[Path], python: Path, package_root: Path) -> list[Result]:
    """Run the corpus of each rule file.

    ``python`` is the interpreter of ElastAlert2's environment, ``package_root`` the folder that
    holds the package ``ddcolor_alerts``. Raises RuleFileError for a rule or corpus that cannot be
    read, OfflineError if ElastAlert2 does not load a rule.
    """
    rules = [load_rule(path) for path in rule_files]
    cases = [(rule, case) for rule in rules for case in read_corpus(corpus_of(rule.file.path))]
    alerts = evaluate(cases, python, package_root)
    return [
        Result(rule.name, case, came, differences(case.expected, came))
        for (rule, case), came in zip(cases, alerts, strict=True)
    ]


def evaluate(
    cases: list[tuple[Rule, Case]], python: Path, package_root: Path
) -> list[list[dict[str, Any]]]:
    """Return the alerts of each case, each with ``at`` in seconds from the case's start."""
    work = [
        {
            **_series(rule.file.path, START, case.documents, case.until),
            "restarts": [at.total_seconds() for at in case.restarts],
        }
        for rule, case in cases
    ]
    return _run(work, python, package_root)


def replay(
    rule_file: Path,
    start: datetime,
    documents: Documents,
    until: timedelta,
    *,
    python: Path,
    package_root: Path,
) -> list[dict[str, Any]]:
    """Return the alerts of one rule on documents that arrived at times after ``start``.

    Each has ``at``, when it happened, and ``raised``, when the rule said so, in seconds from the
    start. Raises OfflineError.
    """
    work = [{**_series(rule_file, start, documents, until), "restarts": []}]
    return _run(work, python, package_root)[0]


def _series(
    rule_file: Path, start: datetime, documents: Documents, until: timedelta
) -> dict[str, Any]:
    return {
        "rule_file": str(rule_file),
        "start": start.isoformat(),
        "documents": [{"at": at.total_seconds(), "document": doc} for at, doc in documents],
        "until": until.total_seconds(),
    }


def _run(work: list[dict[str, Any]], python: Path, package_root: Path) -> list[list[Any]]:
    environment = {**os.environ, "PYTHONPATH": str(package_root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [str(python), "-m", "ddcolor_alerts.offline"],
            input=json.dumps(work),
            capture_output=True,
            text=True,
            env=environment,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        text = f"not done after {error.timeout:.0f} s: choose fewer rules or a shorter range"
        raise OfflineError(text) from error
    if done.returncode != 0:
        raise OfflineError(_reason(done.stderr) or f"ended with status {done.returncode}")
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def _reason(stderr: str) -> str:
    """Return what ElastAlert2 says of a rule that it cannot load, or the end of a traceback."""
    said = stderr.strip()
    last = said.rpartition("\n")[2]
    kind, _, text = last.partition(": ")
    return text if kind.endswith("EAException") else said[-2000:]
