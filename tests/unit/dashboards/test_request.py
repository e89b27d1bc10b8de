"""The request that Kibana sends for a panel, and the table it makes of the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddcolor_operations.dashboards.model import DataView
from ddcolor_operations.dashboards.request import TimeRange, rows, search_body
from tests.support.built_dashboards import BuiltDashboards

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = TimeRange(START, START + timedelta(days=1))
VIEW = DataView("v", "logs-*", "Logs", {}, {})


def column(operation: str, **more: Any) -> dict[str, Any]:
    """Return a column of Lens."""
    bucketed = operation in ("terms", "date_histogram")
    return {"operationType": operation, "isBucketed": bucketed, "label": operation, **more}


def layer(**columns: dict[str, Any]) -> dict[str, Any]:
    """Return a layer with these columns in this order."""
    return {"columns": columns, "columnOrder": list(columns)}


def terms(order_by: dict[str, Any], **params: Any) -> dict[str, Any]:
    """Return a terms column over the field ``kind``."""
    params = {"size": 5, "orderDirection": "desc", "orderBy": order_by, **params}
    return column("terms", sourceField="kind", params=params)


def answered(
    total: int, aggregations: dict[str, Any] | None = None, *, shards: int = 1
) -> dict[str, Any]:
    """Return the answer to a search that found ``total`` documents."""
    found: dict[str, Any] = {"hits": {"total": {"value": total}}, "_shards": {"total": shards}}
    return {**found, "aggregations": aggregations} if aggregations else found


def test_a_request_is_as_kibana_sends_it() -> None:
    """Series hold the bars; both have Kibana's parameters, and the value stands at each level."""
    body = search_body(
        VIEW,
        ["kind: *"],
        layer(
            series=terms({"type": "column", "columnId": "p95"}),
            time=column("date_histogram", sourceField="@timestamp"),
            p95=column("percentile", sourceField="took", params={"percentile": 95}),
        ),
        DAY,
    )
    value = {"2": {"percentiles": {"field": "took", "percents": [95]}}}
    assert body["aggs"]["0"]["terms"] == {
        "field": "kind",
        "size": 5,
        "shard_size": 25,
        "order": {"2.95": "desc"},
    }
    inner = body["aggs"]["0"]["aggs"]
    assert inner["1"]["date_histogram"] == {
        "field": "@timestamp",
        "fixed_interval": "1800s",
        "time_zone": "UTC",
        "extended_bounds": {"min": START.isoformat(), "max": DAY.end.isoformat()},
    }
    assert {"2": inner["2"]} == value == inner["1"]["aggs"]
    assert body["query"]["bool"]["filter"][1] == {"kql": {"query": "kind: *"}}


def test_a_filtered_count_becomes_a_filter() -> None:
    """What a formula counts by KQL is a filter aggregation."""
    count = column("count", filter={"query": "kind: x", "language": "kuery"})
    body = search_body(VIEW, [], layer(value=count), DAY)
    assert body["aggs"] == {"0-bucket": {"filter": {"kql": {"query": "kind: x"}}}}


@pytest.mark.parametrize(
    ("order", "params", "key"),
    [
        ({"type": "alphabetical"}, {}, "_key"),
        ({"type": "column", "columnId": "value"}, {}, "_count"),
        ({"type": "custom"}, {"orderAgg": column("min", sourceField="x")}, "0-orderAgg"),
        ({"type": "custom"}, {"orderAgg": column("count")}, "_count"),
    ],
)
def test_terms_are_ranked(order: dict[str, Any], params: dict[str, Any], key: str) -> None:
    """Each kind of ranking becomes Elasticsearch's."""
    body = search_body(VIEW, [], layer(kind=terms(order, **params), value=column("count")), DAY)
    assert body["aggs"]["0"]["terms"]["order"] == {key: "desc"}


def test_answers_become_rows_with_formulas() -> None:
    """A row for each bucket; arithmetic and overall values are added, division by 0 is nothing."""
    tree = {"name": "divide", "args": ["failed", "count"]}
    found = layer(
        kind=terms({"type": "alphabetical"}),
        count=column("count"),
        failed=column("count", filter={"query": "failed: true"}),
        all=column("overall_sum", references=["count"]),
        rate=column("math", references=["failed", "count"], params={"tinymathAst": tree}),
        shown=column("formula", references=["rate"]),
    )
    buckets = [
        {"key": "a", "doc_count": 4, "2-bucket": {"doc_count": 1}},
        {"key": "b", "doc_count": 0, "2-bucket": {"doc_count": 0}},
    ]
    table = rows(found, answered(4, {"0": {"buckets": buckets}}), DAY)
    assert [row["kind"] for row in table] == ["a", "b"]
    assert [row["all"] for row in table] == [4, 4]
    assert [row["shown"] for row in table] == [0.25, None]


def test_an_answer_without_any_index_has_no_rows() -> None:
    """Before the first document there is no index, and the answer has no aggregations."""
    found = layer(kind=terms({"type": "alphabetical"}), most=column("max", sourceField="x"))
    assert rows(found, answered(0, shards=0), DAY) == []


@pytest.mark.parametrize(
    ("name", "expected"), [("add", 5), ("subtract", 1), ("multiply", 6), ("divide", 1.5)]
)
def test_arithmetic(name: str, expected: float) -> None:
    """Each operator is evaluated as tinymath does."""
    found = layer(
        count=column("count"),
        value=column(
            "math",
            references=["count"],
            params={"tinymathAst": {"name": name, "args": ["count", 2]}},
        ),
    )
    assert rows(found, answered(3), DAY)[0]["value"] == expected


def test_every_panel_of_the_project_has_a_request() -> None:
    """No built panel has a column that cannot be asked for."""
    built = BuiltDashboards()
    for panel in built.panels:
        if panel["type"] == "lens":
            body = search_body(VIEW, [], built.layer(panel["title"]), DAY)
            assert body["size"] == 0
