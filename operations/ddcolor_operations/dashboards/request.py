"""The search that Kibana sends for a layer, and the table that it makes of the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .fields import runtime_mappings
from .lens import REFERRING
from .model import DataView
from .names import TIME_FIELD

Row = dict[str, Any]

# Kibana's automatic interval aims at about this many bars.
_BARS = 100
_INTERVALS_S = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800, 43200, 86400, 604800)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHARD_SIZE = 25
_METRICS = {
    "average": "avg",
    "max": "max",
    "median": "percentiles",
    "min": "min",
    "percentile": "percentiles",
    "sum": "sum",
    "unique_count": "cardinality",
}


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From ``start`` until ``end``, both with a time zone."""

    start: datetime
    end: datetime

    @property
    def interval_s(self) -> int:
        """The length of a bar in seconds."""
        wanted = (self.end - self.start) / _BARS
        return next((s for s in _INTERVALS_S if timedelta(seconds=s) >= wanted), _INTERVALS_S[-1])


def search_body(
    view: DataView, queries: list[str], layer: Mapping[str, Any], time: TimeRange
) -> dict[str, Any]:
    """Return the request for the rows of ``layer``; ``queries`` are KQL, all of which must hold."""
    columns = layer["columns"]
    order, asked, numbers = _plan(layer)
    aggregations: dict[str, Any] = {
        key: body for name in asked for key, body in _metric(numbers[name], columns[name])
    }
    for name in reversed(order):
        bucket = _bucket(numbers[name], columns[name], columns, numbers, time)
        inner = {**aggregations, **bucket.pop("aggs", {})}
        aggregations = {numbers[name]: {**bucket, "aggs": inner}}
    return {
        "size": 0,
        "track_total_hits": True,
        "query": query(queries, time),
        "runtime_mappings": runtime_mappings(view),
        "aggs": aggregations,
    }


def query(queries: list[str], time: TimeRange) -> dict[str, Any]:
    """Return the filter for a time range and KQL queries."""
    limits = {"gte": time.start.isoformat(), "lte": time.end.isoformat()}
    filters: list[dict[str, Any]] = [{"range": {TIME_FIELD: limits}}]
    filters += [{"kql": {"query": text}} for text in queries if text]
    return {"bool": {"filter": filters}}


def rows(layer: Mapping[str, Any], answer: Mapping[str, Any], time: TimeRange) -> list[Row]:
    """Return the table of the answer: a row for each innermost bucket, by column ids."""
    columns = layer["columns"]
    order, asked, numbers = _plan(layer)
    if answer["_shards"]["total"] == 0:
        return []  # no index of that name is there yet, and so no aggregation either
    whole = {"doc_count": answer["hits"]["total"]["value"], **answer.get("aggregations", {})}
    table = [
        {**keys, **{name: _read(bucket, numbers[name], columns[name]) for name in asked}}
        for keys, bucket in _flatten(whole, order, numbers)
    ]
    _scale(columns, table, time)
    _refer(columns, table)
    return table


def _plan(layer: Mapping[str, Any]) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the bucket columns from outside in, the value columns, and each one's name."""
    columns = layer["columns"]
    order = [name for name in layer["columnOrder"] if columns[name]["isBucketed"]]
    asked = [
        name
        for name in layer["columnOrder"]
        if name not in order and columns[name]["operationType"] not in REFERRING
    ]
    return order, asked, {name: str(n) for n, name in enumerate([*order, *asked])}


def _flatten(
    bucket: Mapping[str, Any], order: list[str], numbers: Mapping[str, str]
) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    if not order:
        yield {}, bucket
        return
    for inner in bucket[numbers[order[0]]]["buckets"]:
        for keys, leaf in _flatten(inner, order[1:], numbers):
            yield {order[0]: inner.get("key_as_string", inner["key"]), **keys}, leaf


def _metric(number: str, column: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the aggregations of a value; documents without a filter are counted by the bucket."""
    filtered = column.get("filter", {}).get("query")
    body = _plain(column)
    if filtered:
        inner = {"aggs": {f"{number}-metric": body}} if body else {}
        yield f"{number}-bucket", {"filter": {"kql": {"query": filtered}}, **inner}
    elif body:
        yield number, body


def _plain(column: Mapping[str, Any]) -> dict[str, Any] | None:
    operation = column["operationType"]
    if operation == "count":
        return None
    body: dict[str, Any] = {"field": column["sourceField"]}
    if operation in ("median", "percentile"):
        body["percents"] = [column.get("params", {}).get("percentile", 50)]
    return {_METRICS[operation]: body}


def _read(bucket: Mapping[str, Any], number: str, column: Mapping[str, Any]) -> Any:
    name = number
    if column.get("filter", {}).get("query"):
        bucket, name = bucket[f"{number}-bucket"], f"{number}-metric"
    if column["operationType"] == "count":
        return bucket["doc_count"]
    found = bucket[name]
    if "values" in found:
        return next(iter(found["values"].values()))
    return found["value"]


def _scale(columns: Mapping[str, Any], table: list[Row], time: TimeRange) -> None:
    """Turn counts into rates where a column says so, by the length of its bar or of all time."""
    in_bars = any(column["operationType"] == "date_histogram" for column in columns.values())
    length_s = time.interval_s if in_bars else (time.end - time.start).total_seconds()
    for name, column in columns.items():
        if (unit := column.get("timeScale")) is not None:
            for row in table:
                if row[name] is not None:
                    row[name] *= _UNITS_S[unit] / length_s


def _bucket(
    number: str,
    column: Mapping[str, Any],
    columns: Mapping[str, Any],
    numbers: Mapping[str, str],
    time: TimeRange,
) -> dict[str, Any]:
    if column["operationType"] == "date_histogram":
        bounds = {"min": time.start.isoformat(), "max": time.end.isoformat()}
        histogram = {
            "field": column["sourceField"],
            "fixed_interval": f"{time.interval_s}s",
            "time_zone": "UTC",
            "extended_bounds": bounds,
        }
        return {"date_histogram": histogram}
    params = column["params"]
    terms: dict[str, Any] = {"field": column["sourceField"], "size": params["size"]}
    terms["shard_size"] = max(_SHARD_SIZE, params["size"])
    inner: dict[str, Any] = {}
    ranked = params["orderBy"]
    if ranked["type"] == "alphabetical":
        key = "_key"
    elif ranked["type"] == "custom":
        key = f"{number}-orderAgg"
        body = _plain(params["orderAgg"])
        if body is None:
            key = "_count"
        else:
            inner[key] = body
    else:
        number, ranking = numbers[ranked["columnId"]], columns[ranked["columnId"]]
        key = _rank_key(number, ranking)
        # Terms that hold other buckets need the value that they are ranked by beside these.
        inner |= dict(_metric(number, ranking))
    terms["order"] = {key: params["orderDirection"]}
    return {"terms": terms, "aggs": inner}


def _rank_key(number: str, column: Mapping[str, Any]) -> str:
    filtered = bool(column.get("filter", {}).get("query"))
    operation = column["operationType"]
    if operation == "count":
        return f"{number}-bucket" if filtered else "_count"
    name = f"{number}-bucket>{number}-metric" if filtered else number
    if operation in ("median", "percentile"):
        return f"{name}.{column.get('params', {}).get('percentile', 50)}"
    return name


def _refer(columns: Mapping[str, Any], table: list[Row]) -> None:
    """Add what Kibana computes from other columns, in the order in which they need each other."""
    pending = [name for name, column in columns.items() if column["operationType"] in REFERRING]
    done = set(columns) - set(pending)
    while pending:
        name = next(n for n in pending if done.issuperset(columns[n]["references"]))
        pending.remove(name)
        done.add(name)
        column = columns[name]
        source = column["references"][0]
        operation = column["operationType"]
        if operation.startswith("overall_"):
            value = _overall(operation, [row[source] for row in table])
            for row in table:
                row[name] = value
            continue
        for row in table:
            row[name] = (
                _evaluate(column["params"]["tinymathAst"], row)
                if operation == "math"
                else row[source]
            )


def _overall(operation: str, values: list[Any]) -> float | None:
    numbers = [float(value) for value in values if value is not None]
    if not numbers:
        return None
    total = math.fsum(numbers)
    return {
        "overall_average": total / len(numbers),
        "overall_max": max(numbers),
        "overall_min": min(numbers),
        "overall_sum": total,
    }[operation]


def _evaluate(tree: Any, row: Row) -> float | None:
    if isinstance(tree, str):
        value = row[tree]
        return None if value is None else float(value)
    if not isinstance(tree, dict):
        return float(tree)
    left, right = (_evaluate(argument, row) for argument in tree["args"])
    if left is None or right is None or (tree["name"] == "divide" and right == 0):
        return None
    match tree["name"]:
        case "add":
            return left + right
        case "subtract":
            return left - right
        case "multiply":
            return left * right
        case _:
            return left / right
