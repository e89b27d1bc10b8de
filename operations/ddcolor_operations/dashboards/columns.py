"""Columns of a Lens layer, as Kibana 8.12 and later keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import formula
from .fields import Fields
from .model import Dimension, Order, SourceError, Value
from .names import RECORDS

Column = dict[str, Any]

_FORMATS: Mapping[str, dict[str, Any]] = {
    "s": {"id": "number", "params": {"decimals": 2, "suffix": " s"}},
    "ms": {"id": "number", "params": {"decimals": 0, "suffix": " ms"}},
    "bytes": {"id": "bytes", "params": {"decimals": 1}},
    "percent": {"id": "percent", "params": {"decimals": 1}},
    "whole": {"id": "number", "params": {"decimals": 0}},
}
_OPERATIONS = {"unique": "unique_count"}
# Operations whose missing value Kibana can show as 0.
_COUNTING = ("count", "sum", "unique_count")


class Layer:
    """Collects the columns of one layer. Rows and series go first, as Kibana orders buckets."""

    def __init__(self, fields: Fields, where: str) -> None:
        """``where`` is named in errors."""
        self.columns: dict[str, Column] = {}
        self._fields = fields
        self._where = where

    def dimension(self, column_id: str, dimension: Dimension, first_value: str | None) -> None:
        """Add rows or series; ``first_value`` is the column by which terms are ranked, if any."""
        if dimension.is_time:
            self.columns[column_id] = {
                "label": dimension.label,
                "dataType": "date",
                "operationType": "date_histogram",
                "sourceField": dimension.field,
                "isBucketed": True,
                "scale": "interval",
                "params": {"interval": "auto", "includeEmptyRows": True, "dropPartials": False},
            }
            return
        data_type = self._type_of(dimension.field)
        self.columns[column_id] = {
            "label": dimension.label,
            "customLabel": True,
            "dataType": data_type,
            "operationType": "terms",
            "sourceField": dimension.field,
            "isBucketed": True,
            "scale": "ordinal",
            "params": {
                "size": dimension.size,
                **self._ranking(dimension.order, first_value),
                "otherBucket": False,
                "missingBucket": False,
                "parentFormat": {"id": "terms"},
                "include": [],
                "exclude": [],
                "includeIsRegex": False,
                "excludeIsRegex": False,
            },
        }

    def value(self, column_id: str, value: Value, buckets: int) -> None:
        """Add one number of the rows; ``buckets`` is how many dimensions a row has."""
        if value.of == "formula":
            self._formula(column_id, value, buckets)
            return
        operation = _OPERATIONS.get(value.of, value.of)
        column = self._aggregation(operation, value.field, value.where, value.percentile)
        column |= {"label": value.label, "customLabel": True}
        if value.unit:
            column["params"]["format"] = _FORMATS[value.unit]
        if value.per:
            column["timeScale"] = value.per
        self.columns[column_id] = column

    def _aggregation(self, operation: str, field: str, where: str, percentile: int) -> Column:
        params: dict[str, Any] = {}
        if operation in _COUNTING:
            params["emptyAsNull"] = False
        if percentile:
            params["percentile"] = percentile
        data_type = "number"
        if operation in ("min", "max"):
            data_type = self._type_of(field)
        column: Column = {
            "dataType": data_type,
            "operationType": operation,
            "sourceField": field or RECORDS,
            "isBucketed": False,
            "scale": "ratio",
            "params": params,
        }
        if where:
            column["filter"] = {"query": where, "language": "kuery"}
        return column

    def _ranking(self, order: Order | None, first_value: str | None) -> dict[str, Any]:
        if order is not None and order.by == "alphabet":
            return {
                "orderBy": {"type": "alphabetical", "fallback": False},
                "orderDirection": "desc" if order.descending else "asc",
            }
        if order is None and first_value is not None:
            return {
                "orderBy": {"type": "column", "columnId": first_value},
                "orderDirection": "desc",
            }
        ranked = (
            self._aggregation("count", "", "", 0)
            if order is None
            else self._aggregation(order.by, order.field, "", 0)
        )
        ranked["label"] = "rank"
        return {
            "orderBy": {"type": "custom"},
            "orderAgg": ranked,
            "orderDirection": "desc" if order is None or order.descending else "asc",
        }

    def _formula(self, column_id: str, value: Value, buckets: int) -> None:
        parts: dict[str, Column] = {}

        def add(column: Column) -> str:
            part_id = f"{column_id}X{len(parts)}"
            parts[part_id] = {
                **column,
                "label": f"Part of {value.label}",
                "customLabel": True,
            }
            return part_id

        def place(node: formula.Node) -> str | float:
            """Add the columns that ``node`` needs; return the column or number it stands for."""
            if isinstance(node, formula.Call):
                return add(
                    self._aggregation(node.operation, node.field, node.where, node.percentile)
                )
            if isinstance(node, formula.Overall):
                if buckets != 1:
                    raise SourceError(f"{node.operation} needs exactly one dimension")
                return add(_referring(node.operation, [column_of(node.inner)]))
            return node if isinstance(node, float) else column_of(node)

        def arithmetic(node: formula.Node) -> Any:
            """Return the tree that Kibana evaluates, its leaves columns and numbers."""
            if not isinstance(node, formula.Math):
                return place(node)
            return {
                "type": "function",
                "name": node.name,
                "args": [arithmetic(node.left), arithmetic(node.right)],
                "location": {"min": node.start, "max": node.end},
                "text": value.formula[node.start : node.end],
            }

        def column_of(node: formula.Node) -> str:
            if not isinstance(node, formula.Math):
                placed = place(node)
                if isinstance(placed, float):
                    raise SourceError(f"formula {value.formula!r} has no aggregation")
                return placed
            tree = arithmetic(node)
            column = _referring("math", list(_leaves(tree)))
            column["params"] = {"tinymathAst": tree}
            return add(column)

        try:
            last = column_of(formula.parse(value.formula))
        except SourceError as error:
            raise SourceError(f"{self._where}: {error}") from error
        params: dict[str, Any] = {"formula": value.formula, "isFormulaBroken": False}
        if value.unit:
            params["format"] = _FORMATS[value.unit]
        self.columns[column_id] = {
            **_referring("formula", [last]),
            "label": value.label,
            "customLabel": True,
            "params": params,
        }
        self.columns |= parts

    def _type_of(self, field: str) -> str:
        found = self._fields.get(field)
        if found is None:
            raise SourceError(f"{self._where}: the data view has no field {field!r}")
        return found.kibana_type


def can_rank(value: Value) -> bool:
    """Say whether Kibana can rank terms by this value: not by a formula, nor by a rate."""
    return value.of != "formula" and not value.per


def _referring(operation: str, references: list[str]) -> Column:
    return {
        "dataType": "number",
        "operationType": operation,
        "isBucketed": False,
        "scale": "ratio",
        "references": references,
    }


def _leaves(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    found: list[str] = []
    for argument in tree["args"] if isinstance(tree, dict) else ():
        found += [leaf for leaf in _leaves(argument) if leaf not in found]
    return found
