"""Turn whatever is logged into small JSON values: strings, numbers, booleans, lists of strings.

Nothing here raises and nothing here is slow on a huge or hostile value: tensors are described by
shape and never read (reading one would copy it from the GPU), text is cut and the cut is marked.
"""

from __future__ import annotations

import enum
import math
import os
import reprlib
import sys
import uuid
from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson

from ._redaction import redact

JsonValue: TypeAlias = "str | int | float | bool | list[str] | None"

ATTRIBUTE_CHARS = 1_024
MESSAGE_CHARS = 4_096
STACK_TRACE_CHARS = 16_384
KEY_CHARS = 128
ATTRIBUTES_PER_RECORD = 64
_ITEMS = 32
_DEPTH = 4
_INT64 = 1 << 63
_LARGEST = sys.float_info.max
_CACHED_CHARS = 96
_CACHE_ENTRIES = 4_096

_repr = reprlib.Repr()
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = _ITEMS
_repr.maxstring = _repr.maxother = ATTRIBUTE_CHARS

# Redacted forms of short strings: class types, outcomes and ids repeat in every record.
_cache: dict[str, str] = {}


def cut(text: str, limit: int) -> str:
    """Return ``text`` of at most about ``limit`` characters; a cut says how much is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}…[{len(text) - limit} more characters]"


def clean(text: str, limit: int = ATTRIBUTE_CHARS) -> str:
    """Return ``text`` cut to ``limit`` characters and redacted."""
    known = _cache.get(text)
    if known is not None:
        return known
    if len(text) > limit:
        # Redaction may shrink text, so more than the limit is read; the last word of a raw cut is
        # given up because half of a secret would not be recognised as one.
        head = text[: 2 * limit]
        shown = redact(head if len(head) == len(text) else head[: _last_break(head)])
        missing = len(text) - limit
        return f"{shown[:limit]}…[{missing} more characters]"
    result = redact(text)
    if len(text) <= _CACHED_CHARS:
        if len(_cache) >= _CACHE_ENTRIES:
            _cache.clear()
        _cache[text] = result
    return result


def _last_break(text: str) -> int:
    for index in range(len(text) - 1, -1, -1):
        if text[index].isspace():
            return index
    return 0


def attribute(value: object) -> JsonValue:
    """Return the JSON form of one attribute's value; ``None`` means: leave it out."""
    kind = type(value)
    if kind is str:
        return clean(value)  # type: ignore[arg-type]
    if kind is bool or value is None:
        return value  # type: ignore[return-value]
    if kind is int and -_INT64 <= value < _INT64:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    if kind is float and -_LARGEST <= value <= _LARGEST:  # type: ignore[operator]
        return value  # type: ignore[return-value]
    try:
        return _convert(value, 0, set())
    except Exception as error:  # noqa: BLE001 - a value's own code may raise anything
        return f"<unprintable {kind.__qualname__}: {type(error).__qualname__}>"


def _convert(value: Any, depth: int, above: set[int]) -> JsonValue:
    if isinstance(value, enum.Enum):
        return _convert(value.value, depth, above)
    if isinstance(value, int):
        # Elasticsearch and orjson hold 64 bits.
        return int(value) if -_INT64 <= value < _INT64 else cut(hex(value), ATTRIBUTE_CHARS)
    if isinstance(value, float):
        # JSON has no NaN and no infinity.
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return clean(str(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, (os.PathLike, uuid.UUID)):
        return clean(str(value))
    if isinstance(value, BaseException):
        return clean(f"{type(value).__qualname__}: {value}")
    if (shaped := describe_array(value)) is not None:
        return shaped
    if isinstance(value, (list, tuple, set, frozenset)) and all(type(v) is str for v in value):
        return [clean(item) for item in list(value)[:_ITEMS]]
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        nested = _nested(value, depth, above)
        return cut(orjson.dumps(nested).decode(), ATTRIBUTE_CHARS)
    return clean(_repr.repr(value))


def _nested(value: Any, depth: int, above: set[int]) -> object:
    if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return scrub(_convert(value, depth, above))
    if id(value) in above:
        return "<cycle>"
    if depth >= _DEPTH:
        return f"<{type(value).__qualname__} of {len(value)}>"
    above = above | {id(value)}
    if isinstance(value, Mapping):
        shown: dict[str, object] = {}
        for key in list(value)[:_ITEMS]:
            shown[scrub_text(clean(str(key), KEY_CHARS))] = _nested(value[key], depth + 1, above)
        if len(value) > _ITEMS:
            shown["…"] = f"{len(value) - _ITEMS} more"
        return shown
    items: list[object] = [_nested(item, depth + 1, above) for item in list(value)[:_ITEMS]]
    if len(value) > _ITEMS:
        items.append(f"… {len(value) - _ITEMS} more")
    return items


def describe_array(value: object) -> JsonValue:
    """Return a scalar array's number, a description of a larger one, None if it is no array."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return None
    device = getattr(value, "device", None)
    if len(shape) == 0 and (device is None or str(device) == "cpu"):
        number = value.item()  # type: ignore[attr-defined]
        if isinstance(number, (bool, int)):
            return number
        if isinstance(number, float):
            return number if math.isfinite(number) else None
    where = f" {device}" if device is not None else ""
    return f"<{type(value).__qualname__} {tuple(shape)} {dtype}{where}>"


def scrub_text(text: str) -> str:
    """Return ``text`` with lone surrogates written as escapes, so that it encodes to UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def scrub(value: object) -> object:
    """Return a value of a record in a form that orjson surely takes."""
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, list):
        return [scrub(item) for item in value]
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return cut(hex(value), ATTRIBUTE_CHARS)
    return value
