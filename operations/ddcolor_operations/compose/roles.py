"""What each part of the stack may do in Elasticsearch and Kibana, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Role = Mapping[str, Any]

_LOGS = "logs-ddcolor.*"
_DATA = (_LOGS, "traces-ddcolor.*", "metrics-ddcolor.*")
_DEAD_LETTERS = "logs-ddcolor.dead_letter-*"
# One for each index template: what is written elsewhere would have none.
_STREAMS = (
    *("logs-ddcolor.otel-*", "logs-ddcolor.alerts-*", _DEAD_LETTERS),
    *("traces-ddcolor.otel-*", "metrics-ddcolor.otel-*"),
)
_WRITEBACK = "elastalert-ddcolor*"


def _role(*indices: Role, cluster: tuple[str, ...] = (), kibana: tuple[str, ...] = ()) -> Role:
    applications = (
        [{"application": "kibana-.kibana", "privileges": [*kibana], "resources": ["space:default"]}]
        if kibana
        else []
    )
    return {"cluster": [*cluster], "indices": [*indices], "applications": applications}


def _on(names: tuple[str, ...], *privileges: str) -> Role:
    return {"names": [*names], "privileges": [*privileges]}


#: Name of an API key -> what it may do. The set-up makes one key for each.
API_KEYS: Mapping[str, Role] = {
    # Adds documents; reads none, changes none. auto_configure makes the data stream of the first
    # document and takes fields that are new.
    "gateway": _role(_on(_STREAMS, "auto_configure", "create_doc")),
    # Reads log records and keeps its own memory. monitor: it asks which version it talks to.
    "elastalert": _role(
        _on((_LOGS,), "read", "view_index_metadata"),
        _on((_WRITEBACK,), "create_index", "read", "view_index_metadata", "write"),
        cluster=("monitor",),
    ),
    # Makes a record of each refused document, and deletes what ElastAlert2 remembers for too long.
    # The data streams' own age is the business of their lifecycle.
    "data": _role(
        _on(_DATA, "monitor", "read", "read_failure_store", "view_index_metadata"),
        # Copying inside Elasticsearch asks for the whole privilege to write.
        _on((_DEAD_LETTERS,), "auto_configure", "maintenance", "write"),
        _on((_WRITEBACK,), "delete", "read", "view_index_metadata"),
        cluster=("monitor", "read_ilm"),
    ),
    # Puts dashboards into Kibana; sees no document.
    "dashboards": _role(kibana=("feature_savedObjectsManagement.all",)),
}

#: The people's role: looks at everything of ours, changes dashboards, but no document.
OPERATOR_ROLE = "ddcolor_operator"
OPERATOR = _role(
    _on((*_DATA, _WRITEBACK), "read", "view_index_metadata"),
    cluster=("monitor",),
    kibana=("space_all",),
)
