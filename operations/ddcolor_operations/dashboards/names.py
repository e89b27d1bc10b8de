"""Ids, and the versions that the saved objects are stamped with."""

from __future__ import annotations

import uuid

CORE_VERSION = "8.8.0"
# The oldest version of each type that has all that is used here. Kibana refuses what is newer than
# itself, and brings what is older up to date by itself.
TYPE_VERSIONS = {"dashboard": "8.9.0", "index-pattern": "8.0.0", "search": "8.0.0"}
PANEL_VERSION = "8.9.0"

RECORDS = "___records___"
TIME_FIELD = "@timestamp"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "dashboards.ddcolor-observability")


def stable_id(*parts: str) -> str:
    """Return the id of what ``parts`` name; the same parts have the same id for ever."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def dashboard_id(name: str) -> str:
    """Return the id of the dashboard of the source ``name``; links and bookmarks hold it."""
    return f"ddcolor-{name}"


def layer_reference(layer_id: str) -> str:
    """Return the name under which Lens looks for the data view of a layer."""
    return f"indexpattern-datasource-layer-{layer_id}"
