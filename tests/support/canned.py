"""An Elasticsearch of canned answers for the searches of panels; no number in it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import BadRequestError

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
MOMENT = "2026-03-01T00:00:00.000Z"
_KEYS: Mapping[str, object] = {"trace_id": TRACE_ID, "ddcolor.alert.level": 2}


class Canned:
    """Every answer has ``count`` documents, and every bucket has ``value``.

    With ``refuses`` each search is answered with an error.
    """

    def __init__(self, count: int, value: float | None, *, refuses: bool = False) -> None:
        self._count, self._value, self._refuses = count, value, refuses

    def search(self, **request: Any) -> SimpleNamespace:
        """Answer the search of a panel, or a saved one's with one document."""
        if self._refuses:
            meta = ApiResponseMeta(400, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "x", 1))
            cause = {"error": {"root_cause": [{"reason": "no such thing"}]}}
            raise BadRequestError("bad", meta, cause)
        fields = {name: [_KEYS.get(name, "<b>text</b>")] for name in request.get("fields", ())}
        hit = {"fields": fields | {"@timestamp": [MOMENT]}}
        body = {
            "_shards": {"total": 1},
            "hits": {"total": {"value": self._count}, "hits": [hit] if self._count else []},
            "aggregations": self._answers(request.get("aggs", {})),
        }
        return SimpleNamespace(body=body)

    def _answers(self, aggregations: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._answer(asked) for name, asked in aggregations.items()}

    def _answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        inner = self._answers(asked.get("aggs", {}))
        if "date_histogram" in asked:
            return {"buckets": [{"key": MOMENT, "doc_count": self._count, **inner}]}
        if "terms" in asked:
            key = _KEYS.get(asked["terms"]["field"], "<b>text</b>")
            return {"buckets": [{"key": key, "doc_count": self._count, **inner}]}
        if "filters" in asked:
            keys = asked["filters"]["filters"]
            return {"buckets": {key: {"doc_count": self._count} for key in keys}}
        if "filter" in asked:
            return {"doc_count": self._count, **inner}
        if "percentiles" in asked:
            return {"values": {"50.0": self._value}}
        return {"value": self._value}
