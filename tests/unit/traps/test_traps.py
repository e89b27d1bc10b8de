"""Which test closes which of ElastAlert2's traps, and that these tests are there.

Each trap was seen in a run of ElastAlert2 2.31.0 or read in its source:

 1. the chat alerters believe HTTP 200, know no time or length limit, sign twice, log the key
 2. one of several alerters of a rule succeeds, and the others are never tried again
 3. an exception of an alerter disables the rule, one of an enhancement drops the alert
 4. every run is up to 5 s late, the first up to 15 s
 5. an alert whose sending fails now and then is delivered several times
 6. documents that are older than the last run are never seen
 7. ``frequency`` counts failures over successes between them, and fires too early
 8. what a rule has counted is lost in a restart, or counted twice
 9. a global ``realert`` is ignored, a global ``query_delay`` crashes rules
10. misspelt options, unknown alerters and unset variables pass; rule tests skip the filter
11. one broken file ends the start and all reloads; a renamed rule runs twice
12. its indices must be made before the first write, by a tool that expands no variables
13. it never deletes what it writes
14. no message when it is over, no routing by level, no escalation, no acknowledgement
15. a flatline rule without ``realert`` repeats itself on every run
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.files import load_rule, rule_files

ROOT = project_root()
RULES = rule_files(ROOT / "elastalert_rules" / "rules")
_TEST = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)

#: For each trap the names of the tests that close it, wherever below tests/ they are.
CLOSED: dict[int, tuple[str, ...]] = {
    1: (
        "test_a_robots_errcode_counts_not_its_http_status",
        "test_silence_ends_at_the_time_limit_with_an_unknown_fate",
        "test_a_wecom_content_never_exceeds_the_limit_in_bytes",
        "test_a_dingtalk_request_never_exceeds_20000_bytes",
        "test_dingtalk_signs_each_request_afresh",
        "test_every_rule_alerts_through_the_notifier_alone",
        "test_nothing_is_in_elasticsearch",
    ),
    2: (
        "test_an_alert_gets_one_pending_delivery_per_channel",
        "test_a_channel_that_is_down_delays_no_other",
        "test_each_alert_reaches_each_place_once_by_its_reference",
    ),
    3: (
        "test_a_notifier_that_answers_nonsense_disables_no_rule",
        "test_a_notifier_that_answers_nonsense_stops_no_watcher",
        "test_an_odd_record_is_told_like_any_other",
        "test_raises_what_makes_elastalert2_keep_the_alert",
        "test_the_enhancement_cannot_raise",
    ),
    4: ("test_rules_run_on_time_and_old_documents_are_cleared",),
    5: (
        "test_a_notifier_that_answers_nonsense_disables_no_rule",
        "test_the_same_id_is_a_duplicate_whatever_its_content",
        "test_kill_9_at_random_loses_no_alert_and_doubles_none",
    ),
    6: ("test_a_document_that_comes_late_still_alerts",),
    7: (
        "test_a_row_of_failures_goes_on_over_a_restart",
        "test_any_batches_and_restarts_change_nothing",
    ),
    8: (
        "test_a_row_of_failures_goes_on_over_a_restart",
        "test_five_of_a_kind_are_one_alert_also_after_a_restart",
        "test_a_mistake_is_found_with_its_line",
    ),
    9: (
        "test_nothing_that_must_be_said_per_rule_is_said_globally",
        "test_a_missing_realert_is_found",
    ),
    10: (
        "test_a_mistake_is_found_with_its_line",
        "test_elasticsearch_finds_what_the_offline_filter_finds",
        "test_a_missing_setting_ends_it_with_its_name",
    ),
    11: (
        "test_a_broken_file_at_the_start_stops_no_other_rule",
        "test_a_saved_rule_runs_and_a_broken_save_keeps_the_old_one",
        "test_a_rule_that_is_renamed_in_its_file_runs_under_its_new_name_only",
    ),
    12: ("test_the_indices_have_their_mapping_before_the_first_write",),
    13: (
        "test_old_documents_of_elastalert2_are_deleted",
        "test_rules_run_on_time_and_old_documents_are_cleared",
    ),
    14: (
        "test_a_fault_that_has_gone_quiet_is_said_to_be_over",
        "test_the_first_route_that_matches_wins_over_the_level",
        "test_nobody_is_called_before_the_time_and_then_step_by_step",
        "test_an_acknowledgement_stops_the_calls_also_those_that_wait",
        "test_a_fault_that_nobody_acknowledges_calls_the_next",
    ),
    15: (
        "test_a_silent_service_is_told_once",
        "test_a_missing_realert_is_found",
    ),
}


@cache
def all_tests() -> frozenset[str]:
    """Return the name of every test, those of ElastAlert2's own environment included."""
    files = (ROOT / "tests").rglob("*.py")
    return frozenset(
        name for file in files for name in _TEST.findall(file.read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("trap", range(1, 16))
def test_every_trap_is_closed_by_tests_that_exist(trap: int) -> None:
    """Renaming or removing one of them fails here, not in a month."""
    assert CLOSED[trap]
    assert set(CLOSED[trap]) <= all_tests()


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_rule_alerts_through_the_notifier_alone(path: Path) -> None:
    """None of ElastAlert2's own alerters is in use, and none has a second one."""
    rule = load_rule(path)

    assert isinstance(rule.data["alert"], str)
    assert rule.data["alert"].startswith("ddcolor_alerts.")
    assert "realert" in rule.data


def test_nothing_that_must_be_said_per_rule_is_said_globally() -> None:
    """``realert`` would be without effect in the config, ``query_delay`` would crash."""
    text = (ROOT / "elastalert_rules" / "config.yaml").read_text(encoding="utf-8")

    assert yaml.safe_load(text).keys().isdisjoint({"realert", "query_delay"})
