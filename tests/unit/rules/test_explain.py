"""Rules are explained in plain words, in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from click.testing import CliRunner

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.commands.rules import rules
from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.explain import explain
from ddcolor_operations.rules.explain_words import LANGUAGES, WORDS
from ddcolor_operations.rules.files import load_rule, rule_files
from ddcolor_operations.rules.filter_words import describe_filter

RULES = {
    path.stem: load_rule(path) for path in rule_files(project_root() / "elastalert_rules" / "rules")
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_explained(name: str, language: str) -> None:
    """What it is, whom it reaches, its runbook and its lines in the file; no hole is left."""
    about = RULES[name].data["x-ddcolor"]
    text = explain(RULES[name], language)

    assert text.startswith(f"{name} · ")
    assert " ".join(about["runbook"][language].split()) in text
    assert about["owner"] in text
    assert f"({name}.yaml:" in text
    assert "None" not in text
    assert not re.search(r"\{\w*\}", text)
    if about.get("kind") in CATALOGUE:
        assert getattr(CATALOGUE[about["kind"]].title, language) in text


def test_numbers_and_keys_of_the_file_are_said() -> None:
    """The words hold what the file holds, so an operator sees what a change does."""
    assert (
        "Fires: at the 5th such record within 10 min; counted apart by service.name,"
        " comfyui.error.kind, comfyui.node.class_type."
    ) in explain(RULES["frequency_failures"], "en")
    assert "each time 3 records in a row have comfyui.prompt.outcome = failed" in explain(
        RULES["consecutive_failures"], "en"
    )
    assert "10 分钟内至少 10 条记录中，满足 comfyui.prompt.outcome = failed 的超过 20%" in explain(
        RULES["error_rate"], "zh"
    )
    assert "gives none for 90 s while others are heard" in explain(RULES["service_silent"], "en")
    assert "- threshold: 3 (consecutive_slow.yaml:7)" in explain(RULES["consecutive_slow"], "zh")


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ({"term": {"a": 1}}, ['- a is "1"']),
        ({"terms": {"a": [1, 2]}}, ["- a is one of 1, 2"]),
        ({"query": {"exists": {"field": "a"}}}, ["- a is there"]),
        ({"range": {"a": {"gt": 1, "lte": 2}}}, ["- a is more than 1 and at most 2"]),
        ({"match": {"a": {"query": "x y"}}}, ['- a has a word of "x y"']),
        ({"match_all": {}}, ["- any record"]),
        ({"query_string": {"query": "a:1"}}, ['- the search "a:1" finds it']),
        (
            {"bool": {"must": [{"term": {"a": 1}}], "should": [{"term": {"b": 1}}]}},
            ['- a is "1"'],
        ),
        (
            {
                "bool": {
                    "should": [
                        {"term": {"b": 1}},
                        {"bool": {"filter": [{"term": {"c": 1}}], "must_not": {"term": {"d": 1}}}},
                    ]
                }
            },
            [
                *("- at least 1 of these holds:", '  - b is "1"', "  - all of these hold:"),
                *('    - c is "1"', "    - none of these holds:", '      - d is "1"'),
            ],
        ),
    ],
)
def test_a_filter_in_words(query: dict[str, Any], lines: list[str]) -> None:
    """Each kind of query has its words, and what belongs together stands below its head."""
    assert describe_filter([query], "en") == lines


def test_both_languages_have_the_same_words_with_the_same_holes() -> None:
    """No text is missing in a language."""
    holes = {
        language: {name: set(re.findall(r"\{(\w+)\}", text)) for name, text in words.items()}
        for language, words in WORDS.items()
    }
    assert holes["zh"] == holes["en"]


def test_a_broken_rule_is_not_explained(tmp_path: Any) -> None:
    """The command says the mistakes of a file instead."""
    file = tmp_path / "broken.yaml"
    file.write_text("name: broken\ntype: anny\n", encoding="utf-8")

    result = CliRunner().invoke(rules, ["explain", str(file)])
    assert result.exit_code == 1
    assert "mend this first" in result.output
    assert "there is no rule type 'anny': did you mean 'any'?" in result.output


def test_an_unknown_rule_is_said_with_those_that_are_known() -> None:
    """A misspelt name ends the command with its usage."""
    result = CliRunner().invoke(rules, ["explain", "frequency"])
    assert result.exit_code == 2
    assert "no rule frequency and no such file; known are chain_heartbeat" in result.output
