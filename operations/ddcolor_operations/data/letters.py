"""Make a log record of each document that Elasticsearch refused.

The failure store keeps refused documents beside their data stream, in a shape of its own. A rule
and a dashboard look at log records: so each one gets a record in the dead-letter stream, with the
reason and, out of every index, the document itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch

from comfyui_telemetry import semconv
from ddcolor_operations.elastic.requests import request

DEAD_LETTERS = "logs-ddcolor.dead_letter-default"
FAILURES = tuple(f"{kind}-ddcolor.*::failures" for kind in ("logs", "traces", "metrics"))

# A document that was refused before the newest known one may become visible after it.
_OVERLAP = timedelta(minutes=5)
# After a night without anybody who collects there may be very many.
_TIMEOUT_S = 600.0
_REASON_CHARS = 2000
_SCRIPT = """
def refused = ctx._source.document;
def error = ctx._source.error;
String reason = error.message == null ? error.type : error.message;
if (reason.length() > params.limit) { reason = reason.substring(0, params.limit); }
def attributes = [
  params.event_name: params.event,
  params.target: refused.index,
  params.error_type: error.type,
  params.error_message: reason
];
if (refused.id != null) { attributes[params.id] = refused.id; }
def letter = [
  '@timestamp': ctx._source['@timestamp'],
  'severity_text': 'error',
  'severity_number': 17,
  'body': ['text': 'Document refused: ' + reason],
  'attributes': attributes,
  'ddcolor': ['document': ['source': refused.source]]
];
def source = refused.source;
if (source instanceof Map && source.resource instanceof Map
    && source.resource.attributes instanceof Map
    && source.resource.attributes[params.service] instanceof String) {
  letter.resource = ['attributes': [params.service: source.resource.attributes[params.service]]];
}
ctx._source = letter;
"""


def collect(client: Elasticsearch, *, everything: bool = False) -> int:
    """Write a record for each refused document that has none yet; return how many.

    Only what was refused since shortly before the newest document on record is looked at, or
    ``everything``: a call that was cut off may have left out older ones.

    The record has the _id of the failure store's document: running this again, or twice at once,
    makes no second one. Raises SetupError with Elasticsearch's reason, NotYetError if the first
    refused document has just come.
    """
    source: dict[str, Any] = {"index": list(FAILURES)}
    since = None if everything else _newest(client)
    if since is not None:
        source["query"] = {"range": {"@timestamp": {"gte": (since - _OVERLAP).isoformat()}}}
    answer = request(
        client.options(request_timeout=_TIMEOUT_S),
        "POST",
        "/_reindex?refresh=true&require_alias=false",
        {
            "conflicts": "proceed",
            "source": source,
            "dest": {"index": DEAD_LETTERS, "op_type": "create"},
            "script": {"lang": "painless", "source": _SCRIPT, "params": _params()},
        },
    )
    return int(answer["created"])


def _params() -> dict[str, Any]:
    return {
        "limit": _REASON_CHARS,
        "event_name": semconv.EVENT_NAME,
        "event": semconv.EVENT_DOCUMENT_REFUSED,
        "target": semconv.DOCUMENT_TARGET,
        "id": semconv.DOCUMENT_ID,
        "error_type": semconv.ERROR_TYPE,
        "error_message": semconv.ERROR_MESSAGE,
        "service": semconv.SERVICE_NAME,
    }


def _newest(client: Elasticsearch) -> datetime | None:
    """Return when the newest known document was refused, None if there is none.

    Records of the gateway's are among the dead letters, too; only those from the failure store
    hold the document.
    """
    answer = request(
        client,
        "POST",
        f"/{DEAD_LETTERS}/_search?ignore_unavailable=true&allow_no_indices=true",
        {
            "size": 0,
            "query": {"exists": {"field": semconv.DOCUMENT_ID}},
            "aggs": {"newest": {"max": {"field": "@timestamp"}}},
        },
    )
    value = answer.get("aggregations", {}).get("newest", {}).get("value")
    return None if value is None else datetime.fromtimestamp(value / 1000, UTC)
