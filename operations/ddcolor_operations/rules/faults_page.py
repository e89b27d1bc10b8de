"""Render docs/faults.md: ``python -m ddcolor_operations.rules.faults_page > FILE``.

What each fault means and what to do, from the catalogue and the rules: the same words that stand in
the messages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfyui_telemetry.catalogue import CATALOGUE, ErrorKind, Level
from ddcolor_operations.layout import project_root

from . import options
from .content import FROM_RECORD
from .files import load_rule, rule_files

_INTRODUCTION = """\
# What each alert means, and what to do

Made by `python -m ddcolor_operations.rules.faults_page`; do not edit by hand. The words are those
of the messages: kinds are declared in `instrumentation/comfyui_telemetry/catalogue.py`, rules in
`elastalert_rules/rules/`. `ddcolor-obs rules explain RULE` says of a rule when it fires.
"""
_LEVELS = {
    Level.RECORD: "1, recorded only",
    Level.CHAT: "2, chat",
    Level.CRITICAL: "3, chat, SMS, mail and a request to heal",
}


def render(rules_folder: Path) -> str:
    """Return the page in Markdown. Raises RuleFileError for a rule that cannot be read."""
    rules = [load_rule(file) for file in rule_files(rules_folder)]
    known = {
        rule.name: rule.data[options.METADATA] for rule in rules if options.METADATA in rule.data
    }
    parts = [_INTRODUCTION, *(_kind(kind, known) for kind in CATALOGUE.values())]
    several = {name: rule for name, rule in known.items() if rule.get("kind") == FROM_RECORD}
    if several:
        parts.append("## Rules over several kinds\n")
        parts += [_rule(name, rule) for name, rule in several.items()]
    return "\n".join(parts)


def _kind(kind: ErrorKind, known: dict[str, Any]) -> str:
    return "\n".join([*_head(kind), *_rules(kind, known)])


def _head(kind: ErrorKind) -> Iterator[str]:
    yield f"## {kind.name}\n"
    yield f"**{kind.title.en}** · {kind.title.zh}\n"
    level = _LEVELS[kind.level]
    if kind.escalates and kind.level < Level.CRITICAL:
        level += "; three in a row without a success between: 3"
    yield f"- Level: {level}."
    if not kind.derived:
        yield f"- In the logs: `{kind.keyword}`, with `comfyui.error.kind: {kind.name}`."
    yield f"- What to do: {kind.action.en}"
    yield f"- 处理建议：{kind.action.zh}"
    if kind.user_action:
        yield f"- The person who sent the photo reads: {kind.user_action.en}"
    if kind.users:
        yield "- The cause lies in what was sent: it counts towards no failure rate."
    yield ""


def _rules(kind: ErrorKind, known: dict[str, Any]) -> Iterator[str]:
    for name, rule in known.items():
        if rule.get("kind") == kind.name:
            yield _rule(name, rule)


def _rule(name: str, rule: dict[str, Any]) -> str:
    lines = [f"Rule `{name}`, level {rule['level']}:\n"]
    runbook = rule.get("runbook", {})
    lines += [f"- {runbook[language].strip()}" for language in ("en", "zh") if language in runbook]
    lines += [f"- Fires although all is well: {text}" for text in rule.get("false_positives", ())]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(render(project_root() / "elastalert_rules" / "rules"))
