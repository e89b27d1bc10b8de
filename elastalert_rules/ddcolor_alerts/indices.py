"""ElastAlert2's own indices: created before anything is written, and kept small.

Its ``elastalert-create-index`` expands no variables, and gives up half way when it was interrupted
once. Nothing of ElastAlert2 ever deletes what it wrote.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any

from elastalert.create_index import read_es_index_mappings
from elastalert.elastalert import ElasticsearchException
from elasticsearch.exceptions import RequestError

_LOG = logging.getLogger("ddcolor_alerts.indices")

# Suffix of the index, name of its mapping, days that its documents are kept.
_INDICES = (
    ("", "elastalert", 30),
    ("_status", "elastalert_status", 1),
    ("_silence", "silence", 30),
    ("_error", "elastalert_error", 30),
    ("_past", "past_elastalert", 30),
)
_SETTINGS = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}


def create(client: Any, writeback_index: str) -> list[str]:
    """Create what is missing and return the names; each index comes with its mapping or not at all.

    Raises ElasticsearchException.
    """
    # It prints what it reads.
    with contextlib.redirect_stdout(io.StringIO()):
        mappings = read_es_index_mappings(8)
    created = []
    for suffix, mapping, _ in _INDICES:
        name = writeback_index + suffix
        if client.indices.exists(index=name):
            continue
        try:
            client.indices.create(
                index=name, body={"settings": _SETTINGS, "mappings": mappings[mapping]}
            )
        except RequestError as error:
            # Another ElastAlert2 was faster.
            if error.error != "resource_already_exists_exception":
                raise
        else:
            created.append(name)
    return created


def forget_old(client: Any, writeback_index: str) -> None:
    """Delete documents that are past their days. An alert that is still to be sent is kept."""
    for suffix, _, days in _INDICES:
        query: dict[str, Any] = {
            "bool": {
                "filter": [{"range": {"@timestamp": {"lt": f"now-{days}d"}}}],
                "must_not": [{"term": {"alert_sent": False}}],
            }
        }
        try:
            client.delete_by_query(
                index=writeback_index + suffix,
                body={"query": query},
                conflicts="proceed",
                ignore_unavailable=True,
            )
        except ElasticsearchException as error:
            _LOG.warning("Old documents of %s stay: %s", writeback_index + suffix, error)
