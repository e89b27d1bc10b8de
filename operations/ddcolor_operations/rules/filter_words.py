"""A filter in plain words, as an indented list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = {
    "en": {
        "term": "{field} is {value}",
        "terms": "{field} is one of {value}",
        "match_phrase": "{field} has the words {value}",
        "match": "{field} has a word of {value}",
        "prefix": "{field} begins with {value}",
        "exists": "{field} is there",
        "query_string": "the search {value} finds it",
        "match_all": "any record",
        "gt": "more than {value}",
        "gte": "at least {value}",
        "lt": "less than {value}",
        "lte": "at most {value}",
        "range": "{field} is {value}",
        "and": " and ",
        "must": "all of these hold:",
        "should": "at least {value} of these holds:",
        "must_not": "none of these holds:",
    },
    "zh": {
        "term": "{field} 为 {value}",
        "terms": "{field} 为其中之一：{value}",
        "match_phrase": "{field} 含有词组 {value}",
        "match": "{field} 含有其中一词：{value}",
        "prefix": "{field} 以 {value} 开头",
        "exists": "有 {field} 字段",
        "query_string": "符合搜索 {value}",
        "match_all": "任意记录",
        "gt": "大于 {value}",
        "gte": "不小于 {value}",
        "lt": "小于 {value}",
        "lte": "不大于 {value}",
        "range": "{field} {value}",
        "and": " 且 ",
        "must": "以下全部成立：",
        "should": "以下至少 {value} 条成立：",
        "must_not": "以下都不成立：",
    },
}
_STEP = "  "

Words = Mapping[str, str]


def describe_filter(filters: list[Any], language: str) -> list[str]:
    """Return the lines that say what a record must be like; each may be indented."""
    words = _WORDS[language]
    return [line for part in filters for line in _query(part.get("query", part), words, "- ")]


def _query(query: Mapping[str, Any], words: Words, indent: str) -> Iterator[str]:
    ((kind, body),) = query.items()
    if kind == "bool":
        yield from _bool(body, words, indent)
    elif kind in ("exists", "query_string", "match_all"):
        value = _shown(body.get("query", ""))
        yield indent + words[kind].format(field=body.get("field"), value=value)
    else:
        ((field, value),) = body.items()
        if kind == "range":
            bounds = [words[name].format(value=bound) for name, bound in value.items()]
            shown = words["and"].join(bounds)
        else:
            shown = _shown(next(iter(value.values())) if isinstance(value, Mapping) else value)
        yield indent + words[kind].format(field=field, value=shown)


def _bool(body: Mapping[str, Any], words: Words, indent: str) -> Iterator[str]:
    required = [*_list(body.get("must")), *_list(body.get("filter"))]
    for part in required:
        yield from _query(part, words, indent)
    should = _list(body.get("should"))
    # As in Elasticsearch: beside what must hold, what should hold need not unless it is said.
    least = int(body.get("minimum_should_match", 0 if required else 1))
    if should and least:
        yield indent + words["should"].format(value=least)
        for part in should:
            # What one choice asks for belongs together.
            several = "bool" in part
            if several:
                yield _STEP + indent + words["must"]
            yield from _query(part, words, _STEP * (2 if several else 1) + indent)
    excluded = _list(body.get("must_not"))
    if excluded:
        yield indent + words["must_not"]
        for part in excluded:
            yield from _query(part, words, _STEP + indent)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else f'"{value}"'
