"""Corpora are read, repeated, delayed and compared as their format says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from comfyui_telemetry.catalogue import CATALOGUE, Level
from ddcolor_operations.layout import project_root
from ddcolor_operations.notifier.wording import load_wording
from ddcolor_operations.rules import options
from ddcolor_operations.rules.corpus import (
    corpus_of,
    differences,
    parse_duration,
    read_corpus,
)
from ddcolor_operations.rules.files import RuleFileError, load_rule, rule_files

HOME = project_root() / "elastalert_rules"
RULES = [load_rule(path) for path in rule_files(HOME / "rules")]

CASE = """\
cases:
  - name: one
    documents:
      - {at: 10s, ingested: 1m, times: 2, every: 5s, message: x, log.level: error}
    expect:
      - {at: 10s, level: 2}
"""


def write(folder: Path, text: str) -> Path:
    """Write a corpus."""
    path = folder / "corpus.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_documents_are_repeated_and_delayed(tmp_path: Path) -> None:
    """Two records five seconds apart arrive fifty seconds after they happened."""
    (case,) = read_corpus(write(tmp_path, CASE))

    assert [at for at, _ in case.documents] == [timedelta(seconds=60), timedelta(seconds=65)]
    first, second = (document for _, document in case.documents)
    assert first["@timestamp"] == "1767600010000.000000"
    assert second["event"]["ingested"] == "2026-01-05T08:01:05Z"
    assert first["_id"] < second["_id"]
    assert case.expected == [{"at": 10.0, "level": 2}]


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("message: x", "mesage: x", 4, "document 1: mesage: not declared"),
        ("at: 10s, ing", "at: soon, ing", 4, "document 1: 'soon' is no time"),
        ("level: 2", "levle: 2", 6, "levle: no field of an alert"),
        ("name: one", "nam: one", 2, "a case needs name, documents and expect"),
        ("    expect", "    restrat: []\n    expect", 5, "restrat: not known in a case"),
        ("cases:", "case:", 1, "cases: give at least one"),
        ("      - {at: 10s, level: 2}\n", "", 5, "expect: give a list, [] for none"),
    ],
)
def test_a_mistake_is_said_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    """A corpus that cannot be understood names the line and the reason."""
    with pytest.raises(RuleFileError) as caught:
        read_corpus(write(tmp_path, CASE.replace(old, new)))
    assert (caught.value.line, caught.value.text[: len(said)]) == (line, said)


def test_durations() -> None:
    """Hours, minutes and seconds add up; nothing else is a time."""
    assert parse_duration("1h2m3.5s") == timedelta(hours=1, minutes=2, seconds=3.5)
    for wrong in ("", "5", "5 minutes", "-1s"):
        with pytest.raises(ValueError, match="is no time"):
            parse_duration(wrong)


def alert(**fields: Any) -> dict[str, Any]:
    """Return an alert as the offline run gives it."""
    return {"at": 0.0, "kind": "a", "level": 2, "count": 1, "summary": "", **fields}


def test_only_named_fields_are_compared() -> None:
    """An expectation that names the level does not mind the count."""
    assert differences([{"level": 2}], [alert(count=9)]) == []


def test_what_is_missing_wrong_or_too_much_is_told() -> None:
    """Each difference is one text."""
    assert differences([{"level": 3}], [alert()]) == ["alert 1 level: expected 3, came 2"]
    assert differences([{"level": 3}], []) == ["expected, but did not come: {'level': 3}"]
    assert differences([], [alert()])[0].startswith("came, but was not expected: {'at': 0.0")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_examples_for_and_against(rule: Any) -> None:
    """Each corpus has cases that alert, cases that must not, and one that restarts or is late."""
    cases = read_corpus(corpus_of(rule.file.path))

    assert any(case.expected for case in cases)
    assert any(not case.expected for case in cases)


def test_there_is_no_corpus_without_a_rule() -> None:
    """A corpus whose rule was renamed would not be run."""
    corpora = {path.name for path in (HOME / "corpus").iterdir()}
    assert corpora == {rule.file.path.name for rule in RULES}


def test_every_kind_of_fault_that_a_record_can_say_has_its_rule() -> None:
    """Each kind has one rule of its own, with the catalogue's keyword and level."""
    own = {
        rule.data["x-ddcolor"]["kind"]: rule
        for rule in RULES
        if rule.data["type"] == "any" and rule.data["alert"] != options.HEARTBEAT
    }
    # A remark to a user is no fault.
    derived = {name for name, kind in CATALOGUE.items() if kind.derived}
    assert set(own) == set(CATALOGUE) - derived - remarks()
    for name, rule in own.items():
        assert rule.data["x-ddcolor"]["level"] == CATALOGUE[name].level
        if rule.name.startswith("keyword_"):
            (must,) = rule.data["filter"][-1]["bool"]["must"]
            assert must == {"match_phrase": {"message": CATALOGUE[name].keyword}}
            assert rule.name == f"keyword_{name}"


def remarks() -> set[str]:
    """Return the kinds that only tell a user something."""
    return {name for name, kind in CATALOGUE.items() if kind.users and kind.level == Level.RECORD}


def test_every_derived_kind_has_a_rule_of_its_level() -> None:
    """What stands in no record is found by a rule, except the silence of the rules themselves."""
    levels = {
        rule.data["x-ddcolor"].get("kind"): rule.data["x-ddcolor"].get("level") for rule in RULES
    }
    derived = {name for name, kind in CATALOGUE.items() if kind.derived} - {"alerting_down"}
    assert {name: levels.get(name) for name in derived} == {
        name: CATALOGUE[name].level for name in derived
    }


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_value_that_a_rule_shows_has_a_name_in_the_messages(language: str) -> None:
    """A reader sees words, not the name of a variable."""
    words = load_wording(language, None).values
    shown = {name for rule in RULES for name in rule.data["x-ddcolor"].get("values", {})}
    assert shown - set(words) == set()


def test_five_remarks_are_no_burst_of_failures() -> None:
    """The kinds that the frequency rule leaves out are the remarks of the catalogue."""
    (rule,) = (rule for rule in RULES if rule.name == "frequency_failures")
    left_out = rule.data["filter"][2]["bool"]["must_not"][1]

    assert set(left_out["terms"]["comfyui.error.kind"]) == remarks()


@pytest.mark.parametrize("name", ["consecutive_failures", "error_rate"])
def test_failures_of_the_service_leave_out_the_users_kinds(name: str) -> None:
    """The kinds that say nothing about the service are those of the catalogue."""
    (rule,) = (rule for rule in RULES if rule.name == name)
    (left_out,) = rule.data["filter"][-1]["bool"]["must_not"]

    assert set(left_out["terms"]["comfyui.error.kind"]) == {
        name for name, kind in CATALOGUE.items() if kind.users
    }


def test_the_guide_names_every_rule() -> None:
    """docs/rules.md lists what there is, and nothing that is gone."""
    guide = (project_root() / "docs" / "rules.md").read_text("utf-8")
    table = guide.partition("## What there is")[2].partition("\n\nLevel 1")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in row.replace("`", "").replace(",", "").split()]
    assert sorted(named) == sorted(rule.name for rule in RULES)
