"""Each part may do what its files ask of it, and not more."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import yaml

from ddcolor_operations.compose.roles import API_KEYS, OPERATOR, Role
from ddcolor_operations.layout import project_root

ROOT = project_root()


def unreadable(role: Role, wanted: set[str]) -> set[str]:
    """Return which of these index patterns a role may not read, in whole or in part."""
    readable = {n for on in role["indices"] if "read" in on["privileges"] for n in on["names"]}
    return {
        pattern for pattern in wanted if not any(fnmatchcase(pattern, name) for name in readable)
    }


def rules() -> list[dict[str, Any]]:
    """Return every rule and shared part of ElastAlert2."""
    files = [*(ROOT / "elastalert_rules").glob("rules/*.yaml")]
    files += (ROOT / "elastalert_rules").glob("shared/*.yaml")
    return [yaml.safe_load(file.read_text()) for file in files]


def test_elastalert_may_read_what_its_rules_read() -> None:
    """The index of every rule is in the role of ElastAlert2's key."""
    wanted = {index for rule in rules() if "index" in rule for index in rule["index"].split(",")}
    assert wanted
    assert unreadable(API_KEYS["elastalert"], wanted) == set()


def test_elastalert_may_write_its_own_indices_alone() -> None:
    """Its writeback index is its own to write, and no other is."""
    name = yaml.safe_load((ROOT / "elastalert_rules/config.yaml").read_text())["writeback_index"]
    indices = API_KEYS["elastalert"]["indices"]
    assert [on["names"] for on in indices if "write" in on["privileges"]] == [[f"{name}*"]]


def test_operators_may_read_what_the_dashboards_show() -> None:
    """Every data view of the dashboards is in the role of the people who look at them."""
    lines = (ROOT / "dashboards/kibana.ndjson").read_text().splitlines()
    views = [item for item in map(json.loads, lines) if item["type"] == "index-pattern"]
    titles = {part for view in views for part in view["attributes"]["title"].split(",")}
    assert titles
    assert unreadable(OPERATOR, titles) == set()


def test_every_stream_that_is_written_has_a_template() -> None:
    """The gateway may write to the streams of our templates, and to those only."""
    folder = ROOT / "collector/elasticsearch/index_templates"
    templates = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    patterns = {pattern for body in templates for pattern in body["index_patterns"]}
    (on,) = API_KEYS["gateway"]["indices"]
    assert set(on["names"]) == patterns
    assert set(on["privileges"]) == {"auto_configure", "create_doc"}


def test_nobody_is_a_superuser() -> None:
    """No role holds all privileges, or touches restricted indices."""
    for role in (*API_KEYS.values(), OPERATOR):
        assert set(role["cluster"]) <= {"monitor", "read_ilm"}
        for on in role["indices"]:
            assert "all" not in on["privileges"]
            assert not {"*", ".*"} & set(on["names"])
