"""The linter finds what ElastAlert2 would not say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.lint import lint_folder

HOME = project_root() / "elastalert_rules"

GOOD = """\
name: good
import: ../shared/common.yaml
type: any
filter:
  - match_phrase:
      message: Out of memory
x-ddcolor:
  kind: out_of_memory
  level: 2
  owner: operations
  runbook: {zh: 看, en: look}
  false_positives: [none]
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Make a rules folder with one good rule, beside the real shared part."""
    shutil.copytree(HOME / "shared", tmp_path / "shared")
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "good.yaml").write_text(GOOD, encoding="utf-8")
    return folder


def problems(folder: Path) -> list[str]:
    """Return what the linter says, as ``file:line: text``."""
    found = lint_folder(folder, HOME / "config.yaml", HOME / "ddcolor_alerts", environ={})
    return [f"{problem.path.name}:{problem.line}: {problem.text}" for problem in found]


def test_the_shipped_rules_have_no_problem() -> None:
    """Every rule of the project is clean."""
    assert problems(HOME / "rules") == []


def test_a_good_rule_has_no_problem(rules: Path) -> None:
    """The rule that the other tests spoil is clean."""
    assert problems(rules) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "type: any",
            "type: any\nrealrt: {minutes: 5}",
            "4: the option 'realrt' is not known",
        ),
        ("type: any", "type: anny", "3: type: there is no rule type 'anny': did you mean 'any'"),
        (
            "type: any",
            "type: ddcolor_alerts.consecutive.ConsecutiveFailure",
            "3: type: there is no class ddcolor_alerts.consecutive.ConsecutiveFailure",
        ),
        ("type: any", "type: any\nalert: dingtalk", "4: alert: only ddcolor_alerts.alerter"),
        ("type: any", "type: any\nmatch_enhancements: [Redact]", "4: match_enhancements: there is"),
        ("type: any", "type: any\nrealert: 5", "4: realert: 5 is no length of time"),
        ("type: any", "type: any\nrealert: {minute: 5}", "4: realert: 'minute' is no unit of time"),
        (
            "type: any",
            "type: any\nmax_query_size: many",
            "4: max_query_size: 'many' is not of",
        ),
        ("type: any", "type: any\ntype: frequency", "4: type: is here a second time"),
        ("type: any", "type: any\ndescription: $NOWHERE", "4: the variable $NOWHERE is not set"),
        (
            "type: any",
            "type: any\ndescription: ${DDCOLOR_NOTIFIER_URI}",
            "4: the variable $DDCOLOR_NOTIFIER_URI is not set: did you mean 'DDCOLOR_NOTIFIER_URL'",
        ),
        ("type: any", "type: [any", "4: no valid YAML"),
        ("common.yaml", "comon.yaml", "2: import: there is no file ../shared/comon.yaml"),
        ("name: good", "name: better", "1: name: better must be the file's name, good"),
        (
            "type: any",
            "type: frequency\nnum_events: 3\ntimeframe: {minutes: 10}\nscan_entire_timeframe: true",
            "5: buffer_time: 0:02:00 is shorter than the timeframe of 0:10:00",
        ),
        (
            "type: any",
            "type: frequency\nnum_events: 3\ntimeframe: {minutes: 1}",
            "5: scan_entire_timeframe: true is missing",
        ),
        (
            "type: any",
            "type: any\ntimestamp_field: '@timestamp'",
            "4: timestamp_field: must be event.ingested",
        ),
        ("message: Out", "mesage: Out", "4: filter: the field 'mesage' is in no document: did you"),
        ("match_phrase", "match_frase", "4: filter: the query type 'match_frase' is not known"),
        ("kind: out_of_memory", "kind: out_of_mem", "8: x-ddcolor.kind: 'out_of_mem' is no kind"),
        ("level: 2", "level: 5", "9: x-ddcolor.level: 5 is not 1, 2 or 3"),
        ("level: 2", "levle: 2", "9: x-ddcolor.levle: the option is not known: did you mean"),
        ("level: 2", "levle: 2", "7: x-ddcolor: level is missing"),
        ("  owner: operations\n", "", "7: x-ddcolor: owner is missing"),
        ("{zh: 看, en: look}", "{en: look}", "11: x-ddcolor.runbook: give it in zh and in en"),
        (
            "level: 2",
            "level: 2\n  identity: [attributes.comfyui.prmpt.id]",
            "10: x-ddcolor.identity: the field 'attributes.comfyui.prmpt.id' is in no document",
        ),
        (
            "level: 2",
            "level: 2\n  summary: '{message} {number}'",
            "10: x-ddcolor.summary: only {count}, {message} and {value} can be filled in",
        ),
        ("level: 2", "level: 2\n  identity: window", "10: x-ddcolor.identity: window: only a rule"),
        ("level: 2", "level: 2\n  identity: here", "10: x-ddcolor.identity: 'here' is neither"),
        (
            "level: 2",
            "level: 2\n  values: {v: finding.value}",
            "10: x-ddcolor.values: the field 'finding.value' is in no document",
        ),
        (
            "type: any",
            "type: frequency\nnum_events: 3\ntimeframe: {minutes: 1}",
            "9: x-ddcolor: identity: window is missing",
        ),
        (
            "type: any",
            "type: metric_aggregation",
            "3: type: metric_aggregation runs on Elasticsearch only: use ddcolor_alerts.window",
        ),
        ("type: any", "type: frequency\nnum_events: 3", "3: timeframe is missing: the type freq"),
        (
            "type: any",
            "type: ddcolor_alerts.window.WindowThreshold\nabove: 3",
            "3: min_count is missing: the type ddcolor_alerts.window.WindowThreshold needs it",
        ),
        ("type: any", "type: spike", "3: type: spike fails on every timestamp_field with a dot"),
        (
            "type: any",
            "type: any\nuse_terms_query: true",
            "4: use_terms_query: lets Elasticsearch count",
        ),
        (
            "  - match_phrase",
            "  - terms: {event.name: [comfyui.node.finish]}\n  - match_phrase",
            "4: filter: there is no event 'comfyui.node.finish': did you mean 'comfyui.node",
        ),
        (
            "type: any",
            "type: any\nquery_key: resource.attributes.service.nam",
            "4: query_key: the field 'resource.attributes.service.nam' is in no document",
        ),
        (
            "type: any",
            "type: ddcolor_alerts.window.WindowThreshold\nmeasure: {lowest: queue.depth}",
            "4: measure: the field 'queue.depth' is in no document",
        ),
        (
            "type: any",
            "type: ddcolor_alerts.window.WindowThreshold\nabove: many",
            "4: above: 'many' is not of type number",
        ),
        (
            "type: any",
            "type: ddcolor_alerts.silence.SilentService\nsilent_after: {second: 9}",
            "4: silent_after: 'second' is no unit of time: did you mean 'seconds'",
        ),
        (
            "type: any",
            "type: ddcolor_alerts.silence.SilentService\ngood_bye: {event.name: bye}",
            "4: good_bye: there is no event 'bye'",
        ),
        (
            "type: any",
            "type: any\nalert: ddcolor_alerts.heartbeat.HeartbeatAlerter",
            "9: x-ddcolor.kind: the option is not known",
        ),
    ],
)
def test_a_mistake_is_found_with_its_line(rules: Path, old: str, new: str, said: str) -> None:
    """Each mistake is said once, with the line at which it stands."""
    assert old in GOOD
    (rules / "good.yaml").write_text(GOOD.replace(old, new), encoding="utf-8")

    assert [text for text in problems(rules) if text.startswith(f"good.yaml:{said}")], problems(
        rules
    )


def test_a_mistake_in_the_shared_part_is_said_there(rules: Path) -> None:
    """A wrong option of an imported file has that file's name and line, once for all rules."""
    common = rules.parent / "shared" / "common.yaml"
    lines = common.read_text(encoding="utf-8").count("\n")
    with common.open("a", encoding="utf-8") as file:
        file.write("use_local_tine: false\n")
    (rules / "second.yaml").write_text(GOOD.replace("name: good", "name: second"), "utf-8")

    (problem,) = problems(rules)
    assert problem.startswith(f"common.yaml:{lines + 1}: the option 'use_local_tine' is not known")


def test_a_missing_realert_is_found(rules: Path) -> None:
    """Without the shared part nothing sets realert, index or alert."""
    alone = GOOD.replace("import: ../shared/common.yaml\n", "")
    (rules / "good.yaml").write_text(alone, encoding="utf-8")

    found = " ".join(problems(rules))
    assert "realert is missing: without it ElastAlert2 swallows repetitions" in found
    assert "index is missing" in found
    assert "alert is missing" in found


def test_two_rules_of_one_name_are_found(rules: Path) -> None:
    """The second file is told the name of the first."""
    (rules / "zoo.yaml").write_text(GOOD, encoding="utf-8")

    assert "zoo.yaml:1: name: good is the name of good.yaml too" in problems(rules)


def test_every_broken_file_is_said_at_once(rules: Path) -> None:
    """One run finds the problems of all files."""
    for name in ("a", "b"):
        (rules / f"{name}.yaml").write_text("name: [", encoding="utf-8")
    (rules / "c.yaml").write_text("just text", encoding="utf-8")

    found = problems(rules)
    assert [text.split(":")[0] for text in found] == ["a.yaml", "b.yaml", "c.yaml"]
    assert found[2] == "c.yaml:1: must be a mapping of options, one `name: value` a line"
