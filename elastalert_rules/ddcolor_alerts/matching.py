"""What this project's rule types ask of a record: what it says, and when it happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastalert.util import EAException, lookup_es_key

from ddcolor_alerts.alert import RECORD_UID, to_moment
from ddcolor_alerts.streaks import Place
from ddcolor_alerts.values import equal

Event = Mapping[str, Any]

_PREFIXES = ("attributes.", "resource.attributes.")


def value_of(event: Event, field: str) -> Any:
    """Return the value of a field by its full name, or None.

    Attributes lie where they are expected, under a name with dots; ElastAlert2's own search tries
    every split of the name first.
    """
    for prefix in _PREFIXES:
        if field.startswith(prefix):
            holder: Any = event
            for part in prefix[:-1].split("."):
                holder = holder.get(part) if isinstance(holder, Mapping) else None
            name = field[len(prefix) :]
            if isinstance(holder, Mapping) and name in holder:
                return holder[name]
    return lookup_es_key(event, field)


def place_of(event: Event) -> Place:
    """Return when the event happened; two of one moment are told apart by their uid."""
    moment = to_moment(value_of(event, "@timestamp"))
    uid = value_of(event, RECORD_UID) or event.get("_id")
    return moment.timestamp() if moment else 0.0, str(uid)


class FieldMatcher:
    """Field names with the value, or the list of values, that each must have."""

    def __init__(self, spec: object, option: str) -> None:
        if not isinstance(spec, dict) or not spec:
            raise EAException(f"{option}: give one or more fields with their values")
        self._wanted = {
            str(field): values if isinstance(values, list) else [values]
            for field, values in spec.items()
        }

    def __call__(self, event: Event) -> bool:
        """Return whether ``event`` has one of the wanted values in every field."""
        return all(
            any(equal(value_of(event, field), wanted) for wanted in values)
            for field, values in self._wanted.items()
        )

    def query(self) -> dict[str, Any]:
        """Return the same condition as an Elasticsearch query."""
        terms = [{"terms": {field: values}} for field, values in self._wanted.items()]
        return {"bool": {"filter": terms}}
