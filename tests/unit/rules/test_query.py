"""A filter finds the documents that Elasticsearch would find."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from comfyui_telemetry import semconv
from ddcolor_alerts.fields import Fields
from ddcolor_alerts.query import fields_of, read_filter, read_query
from ddcolor_alerts.values import QueryError, tokens
from ddcolor_operations.rules.documents import to_document

DOCUMENT = to_document(
    {
        "@timestamp": "2026-01-05T08:00:00.000045+00:00",
        "message": "Out of memory: node DDColor_Colorize (2): 显存不足",
        "log.level": "error",
        "trace_id": "5b8efff798038103d269b633813fc60c",
        semconv.SERVICE_NAME: "ddcolor-service",
        semconv.EVENT_NAME: "comfyui.node.finished",
        semconv.NODE_DURATION: 31.5,
        semconv.ERROR_LEVEL: 2,
    },
    datetime(2026, 1, 5, 8, 0, 1, tzinfo=UTC),
)
FIELDS = Fields(DOCUMENT)


def test_a_line_becomes_the_document_that_the_collectors_make() -> None:
    """Text, level, ids and attributes are where the otel mapping has them."""
    assert DOCUMENT["@timestamp"] == "1767600000000.045000"
    assert DOCUMENT["severity_number"] == 17
    assert DOCUMENT["attributes"][semconv.NODE_DURATION] == 31.5
    assert DOCUMENT["resource"] == {"attributes": {semconv.SERVICE_NAME: "ddcolor-service"}}
    assert semconv.SERVICE_NAME not in DOCUMENT["attributes"]
    assert DOCUMENT["event"]["ingested"] == "2026-01-05T08:00:01Z"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message", DOCUMENT["body"]["text"]),
        ("body.text", DOCUMENT["body"]["text"]),
        ("log.level", "error"),
        ("trace.id", "5b8efff798038103d269b633813fc60c"),
        ("service.name", "ddcolor-service"),
        ("resource.attributes.service.name", "ddcolor-service"),
        ("comfyui.node.duration_s", 31.5),
        ("attributes.comfyui.node.duration_s", 31.5),
        ("event.name", "comfyui.node.finished"),
        ("event.ingested", "2026-01-05T08:00:01Z"),
    ],
)
def test_a_field_is_found_under_each_of_its_names(field: str, value: object) -> None:
    """Aliases and attributes without their prefix lead to the value."""
    assert FIELDS.values(field) == [value]


@pytest.mark.parametrize(
    "query",
    [
        {"match_all": {}},
        {"match_phrase": {"message": "out OF Memory"}},
        {"match_phrase": {"message": "不足"}},
        {"match_phrase": {"message": {"query": "node DDColor_Colorize"}}},
        {"match": {"message": "memory nothing"}},
        {"match": {"message": {"query": "memory node", "operator": "and"}}},
        {"term": {"message": "memory"}},
        {"term": {"comfyui.error.level": 2}},
        {"term": {"comfyui.error.level": {"value": "2.0"}}},
        {"terms": {"service.name": ["other", "ddcolor-service"]}},
        {"prefix": {"event.name": "comfyui.node."}},
        {"exists": {"field": "trace_id"}},
        {"range": {"comfyui.node.duration_s": {"gt": 30, "lte": 31.5}}},
        {"range": {"event.ingested": {"gte": "2026-01-05T08:00:00Z"}}},
        {"range": {"event.ingested": {"gte": "2026-01-05"}}},
        {"bool": {"must_not": [{"exists": {"field": "comfyui.error.kind"}}]}},
        {"bool": {"should": [{"term": {"log.level": "x"}}], "filter": [{"match_all": {}}]}},
        {"query_string": {"query": 'message:"Out of memory"'}},
        {"query_string": {"query": "memory"}},
        {"query_string": {"query": "comfyui.node.duration_s:>30 AND NOT log.level:info"}},
        {"query_string": {"query": "comfyui.error.level:[1 TO 2] AND event.name:comfyui.node.*"}},
        {"query_string": {"query": "(log.level:info OR log.level:error) AND _exists_:trace_id"}},
        {"query_string": {"query": "comfyui.error.level:{1 TO *]"}},
        {"query_string": {"query": "nothing mem*"}},
    ],
)
def test_queries_that_find_the_document(query: dict[str, Any]) -> None:
    """Each query finds it."""
    assert read_query(query)(FIELDS)


@pytest.mark.parametrize(
    "query",
    [
        {"match_phrase": {"message": "memory out"}},
        {"match_phrase": {"message": "Out of mem"}},
        {"match_phrase": {"service.name": "ddcolor"}},
        {"match": {"message": {"query": "memory nothing", "operator": "and"}}},
        {"term": {"message": "Memory"}},
        {"term": {"log.level": "Error"}},
        {"term": {"mesage": "memory"}},
        {"terms": {"service.name": []}},
        {"exists": {"field": "comfyui.error.kind"}},
        {"range": {"comfyui.node.duration_s": {"gt": 31.5}}},
        {"range": {"comfyui.error.kind": {"gte": 0}}},
        {"bool": {"should": [{"term": {"log.level": "info"}}]}},
        {
            "bool": {
                "must": [{"match_all": {}}],
                "should": [{"term": {"log.level": "info"}}],
                "minimum_should_match": 1,
            }
        },
        {"query_string": {"query": "log.level:info OR NOT trace_id:*"}},
        {"query_string": {"query": "comfyui.error.level:{1 TO 2}"}},
    ],
)
def test_queries_that_do_not_find_the_document(query: dict[str, Any]) -> None:
    """Each query leaves it out."""
    assert not read_query(query)(FIELDS)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"fuzzy": {"message": "x"}}, "'fuzzy' is not known"),
        ({"term": {"a": 1, "b": 2}}, "term must be one name"),
        ({"terms": {"a": "b"}}, "give a list"),
        ({"range": {"a": {"from": 1}}}, "give one or more of gt"),
        ({"exists": {"name": "a"}}, "name the field"),
        ({"bool": {"shuold": []}}, "shuold is not known"),
        ({"bool": {"should": [{"match_all": {}}, {"fuzzy": {}}]}}, "'fuzzy' is not known"),
        ({"bool": {"minimum_should_match": "75%"}}, "is no number"),
        (
            {"term": {"a": {"value": "b", "case_insensitive": True}}},
            "case_insensitive is not known",
        ),
        ({"term": {"a": {"valeu": "b"}}}, "valeu is not known"),
        ({"match": {"a": {"query": "b", "fuzziness": 1}}}, "fuzziness is not known"),
        ({"match_phrase": {"a": {"slop": 2, "query": "b"}}}, "slop is not known"),
        ({"match": {"a": {"operator": "and"}}}, "give what is searched for"),
        ({"range": {"@timestamp": {"gte": "now-5m"}}}, "reckoned by the clock"),
        ({"query_string": {"query": "a", "default_operator": "AND"}}, "default_operator is not"),
        ({"query_string": {}}, "give what is searched for"),
        ("text", "a query must be one name"),
        ({"query_string": {"query": "a:b AND"}}, "at its end"),
        ({"query_string": {"query": "(a:b"}}, "at its end"),
        ({"query_string": {"query": "a:b)"}}, r"at \)"),
        ({"query_string": {"query": 'a:"b'}}, "cannot read"),
        ({"query_string": {"query": " "}}, "empty"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(query: dict[str, Any], said: str) -> None:
    """Nothing is guessed: the text names the part, also when another part decides already."""
    with pytest.raises(QueryError, match=said):
        read_query(query)(FIELDS)


def test_every_part_of_a_filter_must_hold() -> None:
    """A rule's filter is a list whose parts all count; the old ``query`` wrapper is understood."""
    found = {"query": {"term": {"log.level": "error"}}}
    assert read_filter([found, {"match_all": {}}])(FIELDS)
    assert not read_filter([found, {"term": {"log.level": "info"}}])(FIELDS)


def test_the_fields_of_a_query_are_found() -> None:
    """Fields are named wherever they stand, also in Lucene's syntax."""
    query = {
        "bool": {
            "must": {"term": {"a": 1}},
            "should": [
                {"range": {"b": {"gt": 1}}},
                {"query_string": {"query": "c:1 _exists_:d"}},
            ],
            "must_not": [{"bool": {"filter": [{"exists": {"field": "e"}}]}}],
        }
    }
    assert set(fields_of([{"query": query}])) == {"a", "b", "c", "d", "e"}


def test_text_is_split_as_the_standard_analyser_does() -> None:
    """Words keep inner dots and apostrophes, Han signs stand alone, the rest separates."""
    assert tokens("It's v1.2.3: node A_b (2)-x 照片ok") == (
        *("it's", "v1.2.3", "node", "a_b", "2", "x", "照", "片", "ok"),
    )
