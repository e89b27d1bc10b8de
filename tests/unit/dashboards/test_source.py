"""Reading the YAML sources: what is wrong in them is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddcolor_operations.dashboards.model import ChartPanel, SourceError
from ddcolor_operations.dashboards.source import load

COMMON = """\
dashboards: [one]
data_views:
  logs: { id: ddcolor-logs, pattern: "logs-ddcolor.otel-*", title: Logs }
searches:
  lines: { id: lines, title: Lines, view: logs, columns: [message] }
"""
ONE = """\
title: One
description: One panel.
panels:
  - title: Photos
    at: [0, 0, 8, 6]
    chart: metric
    view: logs
    values: [{ of: count, label: Photos }]
"""


def write(folder: Path, one: str = ONE, common: str = COMMON) -> Path:
    """Write sources of one dashboard."""
    (folder / "common.yaml").write_text(common)
    (folder / "one.yaml").write_text(one)
    return folder


def test_a_source_is_read(tmp_path: Path) -> None:
    """A dashboard has its name from the file and its panels as they are written."""
    (dashboard,) = load(write(tmp_path)).dashboards
    (panel,) = dashboard.panels
    assert dashboard.name == "one"
    assert isinstance(panel, ChartPanel)
    assert panel.values[0].of == "count"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: One", "titel: One", "one.yaml: title has to be a text"),
        ("chart: metric", "chart: pie", "chart is 'pie'; known are metric, table"),
        ("view: logs", "view: log", "no view 'log'; known are logs"),
        ("at: [0, 0, 8, 6]", "at: [0, 0, 8]", "at has to be [x, y, width, height]"),
        ("of: count", "of: counting", "of is 'counting'"),
        ("of: count,", "of: count, colour: red,", "values 1: unknown key colour"),
        ("of: count,", "of: sum,", "field has to be a text"),
        ("of: count,", "of: percentile, field: x,", "needs percentile"),
        ("    values: [{ of: count, label: Photos }]", "    rows: [time]", "values are missing"),
        ("chart: metric", "chart: lines", "a lines chart cannot have 0 rows"),
        ("chart: metric", "chart: metric\n    split: time", "can be split"),
        ("panels:", "panels: 3\nmore:", "panels has to be a list"),
        ("title: One", "title: [", "is not YAML"),
    ],
)
def test_a_mistake_is_said_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each mistake names what is wrong."""
    with pytest.raises(SourceError) as caught:
        load(write(tmp_path, ONE.replace(old, new)))
    assert said in str(caught.value)
    assert "one.yaml" in str(caught.value)


def test_two_panels_of_one_title_are_refused(tmp_path: Path) -> None:
    """Ids come from titles, so two panels of a dashboard must not share one."""
    panel = ONE.split("panels:\n")[1]
    with pytest.raises(SourceError, match="two panels are called Photos"):
        load(write(tmp_path, ONE + panel))


def test_a_dashboard_without_a_file_is_refused(tmp_path: Path) -> None:
    """The list of dashboards and the files have to agree."""
    with pytest.raises(SourceError, match="differ in two"):
        load(write(tmp_path, common=COMMON.replace("[one]", "[one, two]")))


def test_a_file_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    """A dashboard that nothing links to would be forgotten."""
    (tmp_path / "three.yaml").write_text(ONE)
    with pytest.raises(SourceError, match="differ in three"):
        load(write(tmp_path))
