"""Finds the mistakes in rule files that ElastAlert2 accepts in silence, or that would stop it.

It needs neither ElastAlert2 nor Elasticsearch, looks at all files, and returns every problem with
its file and line.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from . import options
from .content import filter_problems, metadata_problems
from .files import Problem, Rule, RuleFileError, load_rule, rule_files

# Set by whatever starts ElastAlert2; `python -m ddcolor_alerts.launcher --help` lists them.
LAUNCHER_VARIABLES = frozenset(
    {"ES_HOST", "ES_PORT", "DDCOLOR_NOTIFIER_URL", "DDCOLOR_RULES_FOLDER"}
)
INGEST_TIME = "event.ingested"

_REQUIRED = ("name", "type", "index", "alert", "filter", "realert", options.METADATA)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def lint_folder(
    rules: Path,
    config: Path | None = None,
    classes: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Problem]:
    """Return every problem of the rule files in ``rules``, sorted by file and line.

    ``config`` is ElastAlert2's config, for the buffer time that rules fall back to; ``classes`` is
    the folder of the ``ddcolor_alerts`` package, in which classes are looked up.
    """
    problems: set[Problem] = set()
    names: dict[str, Path] = {}
    for path in rule_files(rules):
        problems.update(lint_rule(path, config, classes, environ))
        try:
            rule = load_rule(path)
        except RuleFileError:
            continue  # said already
        if rule.name in names:
            text = f"name: {rule.name} is the name of {names[rule.name].name} too"
            problems.add(Problem(*rule.where("name"), text))
        names.setdefault(rule.name, path)
    return sorted(problems)


def lint_rule(
    path: Path,
    config: Path | None = None,
    classes: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Problem]:
    """Return every problem of one rule file, sorted; see :func:`lint_folder`."""
    problems: set[Problem] = set(_unset_variables(path, environ))
    default_buffer = _default_buffer(config, problems)
    try:
        rule = load_rule(path)
    except RuleFileError as error:
        return sorted({*problems, Problem(error.path, error.line, error.text)})
    for source in rule.imports:
        problems.update(_unset_variables(source.path, environ))
    problems.update(_problems(rule, default_buffer, classes))
    return sorted(problems)


def _problems(
    rule: Rule, default_buffer: timedelta | None, classes: Path | None
) -> Iterator[Problem]:
    for name in _REQUIRED:
        if name not in rule.data:
            yield Problem(rule.file.path, 1, f"{name} is missing{_WHY.get(name, '')}")
    for name in options.required_options(rule.data.get("type")):
        if name not in rule.data:
            text = f"{name} is missing: the type {rule.data['type']} needs it"
            yield Problem(*rule.where("type"), text)
    if rule.name != rule.file.path.stem:
        text = f"name: {rule.name} must be the file's name, {rule.file.path.stem}"
        yield Problem(*rule.where("name"), text)
    yield from _options(rule)
    yield from _classes(rule, classes)
    yield from _times(rule, default_buffer)
    yield from metadata_problems(rule)
    yield from filter_problems(rule)


_WHY = {
    "realert": ": without it ElastAlert2 swallows repetitions for a minute; import the shared part",
    options.METADATA: ": the notifier needs kind, level, owner and runbook",
}


def _options(rule: Rule) -> Iterator[Problem]:
    known = options.known_options(rule.data.get("type"))
    for source in (rule.file, *rule.imports):
        for name, value in source.data.items():
            line = source.line(str(name))
            if name not in known:
                hint = options.suggestion(str(name), known)
                yield Problem(source.path, line, f"the option {name!r} is not known{hint}")
            elif (problem := options.type_problem(value, known[name])) and not _variable(value):
                yield Problem(source.path, line, f"{name}: {problem}")
            elif name in options.SERVER_SIDE_OPTIONS and value:
                text = f"{name}: lets Elasticsearch count, so the log watcher could not: remove it"
                yield Problem(source.path, line, text)


def _variable(value: object) -> bool:
    return isinstance(value, str) and value.startswith("$")


def _classes(rule: Rule, folder: Path | None) -> Iterator[Problem]:
    known = options.elastalert()
    for option, built_in, what in (
        ("type", known["types"], "rule type"),
        ("alert", known["alerters"], "alerter"),
        ("match_enhancements", known["enhancements"], "enhancement"),
    ):
        value = rule.data.get(option, [])
        for entry in value if isinstance(value, list) else [value]:
            name = next(iter(entry)) if isinstance(entry, dict) and entry else str(entry)
            if name in built_in:
                continue
            if "." not in name:
                hint = options.suggestion(name, built_in)
                text = f"{option}: there is no {what} {name!r}{hint}"
                yield Problem(*rule.where(option), text)
            elif folder and not _class_exists(name, folder):
                yield Problem(*rule.where(option), f"{option}: there is no class {name}")
    if rule.data.get("type") in options.SERVER_SIDE_TYPES:
        text = f"type: {rule.data['type']} runs on Elasticsearch only: use {options.WINDOW}"
        yield Problem(*rule.where("type"), text)
    if rule.data.get("type") in options.UNDOTTED_TYPES:
        text = f"type: {rule.data['type']} fails on every timestamp_field with a dot: use another"
        yield Problem(*rule.where("type"), text)
    alerter = rule.data.get("alert", options.ALERTER)
    if alerter not in (options.ALERTER, [options.ALERTER], options.HEARTBEAT):
        text = f"alert: only {options.ALERTER} keeps an alert until it is delivered"
        yield Problem(*rule.where("alert"), text)


def _class_exists(dotted: str, folder: Path) -> bool:
    module, _, name = dotted.rpartition(".")
    package, _, file = module.partition(".")
    source = folder / f"{file}.py"
    if package != folder.name or not source.is_file():
        return False
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body)


def _times(rule: Rule, default_buffer: timedelta | None) -> Iterator[Problem]:
    if rule.data.get("timestamp_field") != INGEST_TIME:
        text = f"timestamp_field: must be {INGEST_TIME}, or documents that come late are never seen"
        yield Problem(*rule.where("timestamp_field"), text)
    timeframe = _length(rule.data.get("timeframe"))
    if timeframe is None:
        if rule.data.get("scan_entire_timeframe"):
            where = rule.where("scan_entire_timeframe")
            yield Problem(*where, "scan_entire_timeframe: needs a timeframe")
        return
    buffer = _length(rule.data.get("buffer_time")) or default_buffer
    if buffer is not None and buffer < timeframe:
        text = f"buffer_time: {buffer} is shorter than the timeframe of {timeframe}"
        yield Problem(*rule.where("timeframe"), f"{text}: documents would be counted twice")
    if not rule.data.get("scan_entire_timeframe"):
        text = "scan_entire_timeframe: true is missing: a restart would forget what was counted"
        yield Problem(*rule.where("timeframe"), text)


def _default_buffer(config: Path | None, problems: set[Problem]) -> timedelta | None:
    if config is None:
        return None
    try:
        data = yaml.safe_load(config.read_text(encoding="utf-8"))
        return _length(data["buffer_time"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        problems.add(Problem(config, 1, f"buffer_time cannot be read: {error}"))
        return None


def _length(value: Any) -> timedelta | None:
    if not isinstance(value, dict) or options.timedelta_problem(value) or "schedule" in value:
        return None
    return timedelta(**value)


def _unset_variables(path: Path, environ: Mapping[str, str]) -> Iterator[Problem]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return  # said by the reader
    for number, text in enumerate(lines, 1):
        for found in _VARIABLE.finditer(text.partition(" #")[0] if "#" in text else text):
            name = found[1] or found[2]
            if text.lstrip().startswith("#") or name in LAUNCHER_VARIABLES or name in environ:
                continue
            hint = options.suggestion(name, LAUNCHER_VARIABLES)
            yield Problem(path, number, f"the variable ${name} is not set{hint}")
