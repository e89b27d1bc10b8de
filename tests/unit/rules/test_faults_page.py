"""docs/faults.md: it is what the catalogue and the rules say now."""

from __future__ import annotations

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.faults_page import render
from ddcolor_operations.rules.files import rule_files

PAGE = project_root() / "docs" / "faults.md"
RULES = project_root() / "elastalert_rules" / "rules"


def test_page_is_up_to_date() -> None:
    """The page is what its module makes now."""
    assert PAGE.read_text(encoding="utf-8") == render(RULES), (
        "run: python -m ddcolor_operations.rules.faults_page > docs/faults.md"
    )


def test_every_kind_and_every_rule_has_its_place() -> None:
    """No kind and no rule that alerts is left out, and none is there twice."""
    text = PAGE.read_text(encoding="utf-8")
    assert {kind: text.count(f"\n## {kind}\n") for kind in CATALOGUE} == dict.fromkeys(CATALOGUE, 1)
    alerting = [file.stem for file in rule_files(RULES) if file.stem != "chain_heartbeat"]
    assert {rule: text.count(f"Rule `{rule}`") for rule in alerting} == dict.fromkeys(alerting, 1)
