"""The fields of a document under every name by which a search can ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Names that the index template gives to other places of the document.
ALIASES = {
    "message": "body.text",
    "log.level": "severity_text",
    "trace.id": "trace_id",
    "span.id": "span_id",
}
# Objects whose names are searched without a prefix, the first found wins (passthrough fields).
_PREFIXES = ("", "attributes.", "resource.attributes.", "scope.attributes.")


class Fields:
    """A document, read once and asked often: by each part of the filter of each rule."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._values: dict[str, list[Any]] = {}
        for path, value in _flat(document, ""):
            self._values.setdefault(path, []).append(value)

    def values(self, field: str) -> list[Any]:
        """Return every value that a search on ``field`` would see."""
        field = ALIASES.get(field, field)
        for prefix in _PREFIXES:
            found = self._values.get(prefix + field)
            if found:
                return found
        return []


def _flat(document: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted path; dots may be nesting or part of a name."""
    for name, item in document.items():
        path = prefix + name
        if isinstance(item, Mapping):
            yield from _flat(item, path + ".")
            continue
        for one in item if isinstance(item, list) else [item]:
            if one is not None and not isinstance(one, Mapping):
                yield path, one
