"""Which trace somebody means: by its own id, a prompt's or an alert's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from elasticsearch import Elasticsearch

from comfyui_telemetry import semconv

from .queries import ALL_LOGS, LOGS, TRACES

_ID = re.compile(r"[0-9A-Za-z_.:-]{4,128}")
# Of fewer digits some alert would begin with nearly any.
_ALERT_ID = re.compile(r"[0-9a-fA-F]{8,32}")


class TraceNotFoundError(LookupError):
    """No trace belongs to what was given; the message says what was looked for."""


def find_trace(client: Elasticsearch, given: str) -> str:
    """Return the id of the trace that ``given`` names.

    ``given`` is the id of a trace or prompt, or that of an alert or its first 8 or more digits, as
    messages show it. An alert that speaks of no prompt (a silent service) has no trace. Raises
    TraceNotFoundError, for a text that can be no id as well.
    """
    if not _ID.fullmatch(given):
        raise TraceNotFoundError(
            f"{given[:80]!r} is no id: give that of a trace, a prompt or an alert."
        )
    if _has(client, f"{LOGS},{TRACES}", {"term": {"trace_id": given.lower()}}):
        return given.lower()
    prompt = {"term": {semconv.PROMPT_ID: given}}
    if (trace_id := _trace_of(client, f"{LOGS},{TRACES}", prompt)) is not None:
        return trace_id
    if _ALERT_ID.fullmatch(given):
        alert = {"prefix": {semconv.ALERT_ID: given.lower()}}
        if (trace_id := _trace_of(client, ALL_LOGS, alert)) is not None:
            return trace_id
        if _has(client, ALL_LOGS, alert):
            raise TraceNotFoundError(f"Alert {given} is there, but belongs to no trace.")
    raise TraceNotFoundError(
        f"No trace, prompt or alert has the id {given}. It may be older than what is kept, or not"
        " have arrived yet: spans come when their prompt ends."
    )


def _trace_of(client: Elasticsearch, index: str, query: Mapping[str, Any]) -> str | None:
    with_trace: dict[str, Any] = {"bool": {"filter": [query, {"exists": {"field": "trace_id"}}]}}
    answer = client.search(
        index=index,
        query=with_trace,
        size=1,
        sort=[{"@timestamp": "desc"}],
        source_includes=["trace_id"],
        ignore_unavailable=True,
    )
    hits = answer["hits"]["hits"]
    return str(hits[0]["_source"]["trace_id"]) if hits else None


def _has(client: Elasticsearch, index: str, query: Mapping[str, Any]) -> bool:
    answer = client.search(
        index=index, query=query, size=0, terminate_after=1, ignore_unavailable=True
    )
    return bool(answer["hits"]["total"]["value"])
