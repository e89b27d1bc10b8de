"""Examples beside the rules: documents at times, and the alerts that must come of them.

.. code-block:: yaml

    cases:
      - name: a node that ran out of memory is one alert
        documents:
          - at: 0s                      # when it happened, from the case's start
            message: "Out of memory: node DDColor_Colorize (2): CUDA out of memory"
            log.level: error
            comfyui.error.kind: out_of_memory
        expect:
          - {at: 0s, kind: out_of_memory, level: 2, count: 1}

A document has the names of a log line; ``service.name`` and a uid are filled in. ``ingested: 1h``
lets it reach Elasticsearch later than it happened, ``times: 5`` with ``every: 30s`` repeats it,
``uid: x`` twice is the same record sent again. ``restart: [90s]`` in a case restarts ElastAlert2 at
that time, ``until: 10m`` lets the time go on after the last document, for what happens in silence.
``expect`` lists every alert, in order, with the fields that matter (``at`` is when the fault
happened, ``raised`` when the rule said so); ``[]`` says that nothing may come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from comfyui_telemetry import semconv

from .documents import to_document
from .files import RuleFileError, YamlFile, read_yaml

# A fixed start makes the documents, and so the alert ids, the same in every run.
START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_DOCUMENT_OPTIONS = ("at", "ingested", "times", "every", "uid")
_CASE_OPTIONS = {"name", "documents", "expect", "restart", "until"}
_TIMES = ("at", "raised")
_ALERT_FIELDS = {
    *_TIMES,
    *("alert_id", "rule", "kind", "level", "service", "node", "node_id", "prompt_id"),
    *("trace_id", "summary", "count", "values"),
    # Of a heartbeat for the notifier.
    "path",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One series of documents. ``documents`` are in the order in which they are ingested.

    Each is a pair of the time of ingest and the document. ``restarts`` and ``until``, the end, are
    times after the start.
    """

    corpus: Path
    line: int
    name: str
    documents: list[tuple[timedelta, dict[str, Any]]]
    restarts: list[timedelta]
    until: timedelta
    expected: list[dict[str, Any]]


def corpus_of(rule_file: Path) -> Path:
    """Return where the corpus of a rule file lies: in the folder ``corpus`` beside the rules'."""
    return rule_file.parent.parent / "corpus" / rule_file.name


def read_corpus(path: Path, start: datetime = START) -> list[Case]:
    """Read the cases; raises RuleFileError with the line of what cannot be understood."""
    file = read_yaml(path)
    cases = file.data.get("cases")
    if not isinstance(cases, list) or not cases:
        raise RuleFileError(path, 1, "cases: give at least one")
    return [_case(file, index, case, start) for index, case in enumerate(cases)]


def parse_duration(text: object) -> timedelta:
    """Read ``1h2m3.5s``; raises ValueError."""
    found = _DURATION.fullmatch(str(text))
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is no time: write for example 90s, 1m30s or 2h")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def differences(expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> list[str]:
    """Return what differs between the expected alerts and those that came, one text each.

    Of an expected alert only the fields that it names are compared.
    """
    found = [
        f"alert {number} {name}: expected {wanted!r}, came {alert.get(name)!r}"
        for number, (want, alert) in enumerate(zip(expected, got, strict=False), 1)
        for name, wanted in want.items()
        if alert.get(name) != wanted
    ]
    found += [f"expected, but did not come: {want}" for want in expected[len(got) :]]
    found += [f"came, but was not expected: {_short(alert)}" for alert in got[len(expected) :]]
    return found


def _short(alert: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("at", "kind", "level", "count", "summary", "path")
    return {name: alert[name] for name in shown if name in alert}


def _case(file: YamlFile, index: int, case: Any, start: datetime) -> Case:
    def fail(text: str, *key: str | int) -> RuleFileError:
        return RuleFileError(file.path, file.line("cases", index, *key), text)

    if not isinstance(case, dict) or not {"name", "documents", "expect"} <= set(case):
        raise fail("a case needs name, documents and expect")
    for name in ("documents", "expect", "restart"):
        if not isinstance(case.get(name, []), list):
            raise fail(f"{name}: give a list, [] for none", name)
    if unknown := set(case) - _CASE_OPTIONS:
        raise fail(f"{', '.join(map(str, unknown))}: not known in a case", next(iter(unknown)))
    documents: list[tuple[timedelta, dict[str, Any]]] = []
    for number, spec in enumerate(case["documents"]):
        try:
            documents.extend(_documents(spec, f"{index}-{number}", start))
        except (ValueError, KeyError, TypeError) as error:
            raise fail(f"document {number + 1}: {error}", "documents", number) from error
    expected = []
    for number, alert in enumerate(case["expect"]):
        if unknown := set(alert) - _ALERT_FIELDS:
            raise fail(f"{', '.join(unknown)}: no field of an alert", "expect", number)
        times = {name: _seconds(alert[name]) for name in _TIMES if name in alert}
        expected.append({**alert, **times})
    documents.sort(key=lambda pair: pair[0])
    restarts = [parse_duration(text) for text in case.get("restart", [])]
    until = parse_duration(case.get("until", "0s"))
    line = file.line("cases", index)
    return Case(file.path, line, case["name"], documents, restarts, until, expected)


def _documents(
    spec: dict[str, Any], number: str, start: datetime
) -> Iterator[tuple[timedelta, dict[str, Any]]]:
    line = {name: value for name, value in spec.items() if name not in _DOCUMENT_OPTIONS}
    unknown = {name for name in line if name not in semconv.ATTRIBUTES}
    unknown -= {"message", "log.level", "trace_id", "span_id"}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: not declared in the semantic conventions")
    first = parse_duration(spec.get("at", "0s"))
    delay = parse_duration(spec["ingested"]) - first if "ingested" in spec else timedelta(0)
    every = parse_duration(spec.get("every", "1s"))
    for repetition in range(spec.get("times", 1)):
        happened = first + every * repetition
        uid = spec.get("uid") or f"{_seconds_of(happened):09.3f}-{number}-{repetition}"
        full = {
            semconv.SERVICE_NAME: "ddcolor-service",
            **line,
            "@timestamp": (start + happened).isoformat(),
            semconv.LOG_RECORD_UID: uid,
        }
        document = to_document(full, start + happened + delay)
        yield happened + delay, {**document, "_id": uid}


def _seconds(text: object) -> float:
    return _seconds_of(parse_duration(text))


def _seconds_of(moment: timedelta) -> float:
    return round(moment.total_seconds(), 3)
