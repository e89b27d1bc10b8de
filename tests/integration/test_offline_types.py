"""Rules of ElastAlert2's own types run offline, also where only time passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.offline import OfflineError, run_corpora
from ddcolor_operations.toolchain import elastalert

pytestmark = pytest.mark.timeout(120)

HOME = project_root() / "elastalert_rules"
RULE = """\
name: tried
import: ../shared/common.yaml
{options}
filter:
  - term: {{event.name: comfyui.service.heartbeat}}
x-ddcolor:
  kind: service_down
  level: 3
  owner: operations
  runbook: {{zh: 看, en: look}}
  false_positives: [none]
"""
CORPUS = """\
cases:
  - name: tried
    until: {until}
    restart: {restart}
    documents:
{documents}
    expect:
{expect}
"""
SERVICE = "resource.attributes.service.name"


def failures(
    folder: Path, options: str, documents: list[str], expect: list[str], **case: str
) -> list[str]:
    """Return what differs from what a rule with these options must say."""
    shutil.copytree(HOME / "shared", folder / "shared")
    for name in ("rules", "corpus"):
        (folder / name).mkdir()
    rule = folder / "rules" / "tried.yaml"
    rule.write_text(RULE.format(options=options), "utf-8")
    text = CORPUS.format(
        documents="".join(
            f"      - {{event.name: comfyui.service.heartbeat, message: x, {line}}}\n"
            for line in documents
        ),
        expect="".join(f"      - {{{line}}}\n" for line in expect),
        **{"until": "0s", "restart": "[]", **case},
    )
    (folder / "corpus" / "tried.yaml").write_text(text, "utf-8")
    (result,) = run_corpora([rule], elastalert.ensure(print).python, HOME)
    return result.failures


FLATLINE = f"""\
type: flatline
threshold: 1
timeframe: {{minutes: 2}}
query_key: {SERVICE}
realert: {{hours: 1}}
forget_keys: true
"""
CARDINALITY = """\
type: cardinality
cardinality_field: attributes.comfyui.node.id
max_cardinality: 2
timeframe: {minutes: 1}
realert: {hours: 1}
"""
CHANGE = f"""\
type: change
compare_key: attributes.ddcolor.device
query_key: {SERVICE}
ignore_null: true
"""
BLACKLIST = """\
type: blacklist
compare_key: attributes.ddcolor.device
blacklist: [cpu]
"""


@pytest.mark.parametrize(
    ("options", "documents", "expect"),
    [
        # Silent from 30 s on: it speaks a timeframe later, and then holds still.
        (
            FLATLINE,
            ["at: 0s, times: 2, every: 30s", "at: 0s, times: 9, every: 30s, service.name: b"],
            "raised: 2m30s, service: ddcolor-service",
        ),
        (
            CARDINALITY,
            [f'at: {at}s, comfyui.node.id: "{node}"' for at, node in enumerate("12132")],
            "raised: 3s",
        ),
        (
            CHANGE,
            [f"at: {at}s, ddcolor.device: {dev}" for at, dev in enumerate(["gpu", "gpu", "cpu"])],
            "raised: 2s",
        ),
        (
            BLACKLIST,
            ["at: 0s, ddcolor.device: gpu", "at: 2s, ddcolor.device: cpu"],
            "raised: 2s",
        ),
    ],
    ids=["flatline", "cardinality", "change", "blacklist"],
)
def test_a_type_of_elastalert2_fires_when_it_would(
    tmp_path: Path, options: str, documents: list[str], expect: str
) -> None:
    """Documents and the time between them lead to the alerts that the type promises."""
    assert failures(tmp_path, options, documents, [expect], until="4m") == []


def test_a_flatline_goes_on_over_a_restart(tmp_path: Path) -> None:
    """What was heard before a restart is remembered, and what was said is not said again."""
    case = {"until": "20m", "restart": "[1m, 10m]"}
    assert failures(tmp_path, FLATLINE, ["at: 0s"], ["service: ddcolor-service"], **case) == []


def test_what_only_elasticsearch_can_do_is_refused_with_another_way(tmp_path: Path) -> None:
    """A rule type that lets Elasticsearch aggregate names the one that does not."""
    options = (
        "type: metric_aggregation\nmetric_agg_key: attributes.comfyui.node.duration_s\n"
        "metric_agg_type: avg\nmax_threshold: 3\nbuffer_time: {minutes: 1}"
    )
    with pytest.raises(OfflineError, match=r"MetricAggregationRule .* use .*WindowThreshold"):
        failures(tmp_path, options, ["at: 0s"], ["at: 0s"])
