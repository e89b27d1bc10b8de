"""Documents as nobody should send them, from a seed, and how each is known again."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from comfyui_telemetry import semconv

_DATES: list[Any] = [
    *("yesterday", "", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2262-04-12T00:00:00Z"),
    *("2600-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-02-30T00:00:00Z"),
    *("2026-11-24", "12:00", 0, -1, 1e300, 10**30, None, True, [], {"a": 1}, ["2026-01-01"]),
]
_NAMES = [
    *(
        "",
        " ",
        "\t",
        "\u3000",
        "\x0b",
        "\x1c",
        "\u2028",
        ".",
        "..",
        "a..b",
        ".a",
        "a.",
        "a. ",
        " a",
    ),
    *(
        "_id",
        "_source",
        "_index",
        "@timestamp",
        "@timestamp.x",
        "message",
        "event",
        "event.ingested",
    ),
    *(
        "a\x00b",
        "a\nb",
        "a*",
        "a?b",
        'a"b',
        "a,b",
        "a:b",
        "名前",
        "\U0001f600",
        "n" * 600,
    ),
    *("data_stream.dataset", "data_stream.namespace", "data_stream", "elasticsearch.index.prefix"),
    *("elasticsearch.document_id", "elasticsearch", "resource", "attributes", "scope", "body"),
    *("service.name.x", "trace_id", "log.level", "geo.location", "ddcolor.document.source"),
]
# Each new name is a change of the mapping, which takes its time: the mapping is full early on.
_BEFORE_ALL_NAMES = 50
_NAMES_IN_ALL = 5000
_NAMES_A_LINE = 100
_KNOWN_NAMES = [
    *(semconv.ERROR_LEVEL, semconv.NODE_DURATION, semconv.ERROR_KIND, semconv.PROMPT_ID),
    *(semconv.EVENT_NAME, semconv.ERROR_STACK_TRACE, semconv.IMAGE_WIDTH),
]


@dataclass(frozen=True, slots=True)
class OddLine:
    """A line of a log file, known by ``uid`` or, where it has none, by ``mark`` in its text."""

    content: bytes
    uid: str | None
    mark: str | None


def odd_lines(seed: int, count: int) -> list[OddLine]:
    """Return ``count`` lines; the same seed gives the same ones."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    kinds: list[Callable[[random.Random, int], OddLine]] = [
        *([_odd_attributes] * 6), *([_odd_time] * 2), *([_no_uid] * 2), _not_json, _binary, _deep,
    ]  # fmt: skip
    lines = [rng.choice(kinds)(rng, number) for number in range(count)]
    # Few of the largest, and all new names at once: they are slow to take, not easy to lose.
    for number, line in enumerate(_large(rng, count)):
        lines[count // 2 + number * 50] = line
    for number in range(_NAMES_IN_ALL // _NAMES_A_LINE):
        lines[_BEFORE_ALL_NAMES + number] = _many_names(rng, number)
    return lines


def odd_value(rng: random.Random, depth: int = 0) -> Any:
    """Return a value of any type that JSON has, or that ill-made JSON has."""
    if depth < 3 and rng.random() < 0.3:
        if rng.random() < 0.5:
            return [odd_value(rng, depth + 1) for _ in range(rng.randrange(5))]
        return {odd_name(rng): odd_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice(_SCALARS)(rng)


def odd_name(rng: random.Random) -> str:
    """Return a name of an attribute: one that is odd, well known, or one of some hundred."""
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(_NAMES)
    if kind < 0.6:
        return rng.choice(_KNOWN_NAMES)
    return f"odd.field.{rng.randrange(100)}"


_SCALARS: list[Callable[[random.Random], Any]] = [
    lambda rng: rng.randrange(-(2**63), 2**63),
    lambda rng: rng.choice([2**63, 10**30, -(10**40), 2**64 - 1]),
    lambda rng: rng.choice([0.1, 1e308, -1e-320, 4.0, float(rng.random())]),
    lambda rng: rng.choice([True, False, None]),
    lambda rng: rng.choice(["NaN", "Infinity", "-0", "1e999", "null", "true", "12", ""]),
    lambda rng: rng.choice(["\ud800", "a\udfff", "\x00", "\x7f", "\u202e", "\ufeff", "\U0010ffff"]),
    lambda rng: "汉" * rng.choice([1, 400, 1025]),
    lambda rng: "".join(rng.choices(string.printable, k=rng.randrange(200))),
    lambda rng: "k" * rng.choice([1, 1023, 1025]),
    lambda rng: rng.choice(_DATES),
]


def _line(rng: random.Random, number: int, **more: Any) -> dict[str, Any]:
    return {
        "@timestamp": "2026-11-24T10:00:00.000001Z",
        "log.level": rng.choice(["info", "error", "fatal", "nonsense", 7, None]),
        "message": f"odd document {number}",
        semconv.SERVICE_NAME: "ddcolor-fuzz",
        semconv.LOG_RECORD_UID: f"ODD{rng.getrandbits(64):016X}{number:06d}",
        **more,
    }


def _made(line: dict[str, Any]) -> OddLine:
    return OddLine(json.dumps(line).encode(), str(line[semconv.LOG_RECORD_UID]), None)


def _odd_attributes(rng: random.Random, number: int) -> OddLine:
    line = _line(rng, number)
    uid = line[semconv.LOG_RECORD_UID]
    for _ in range(rng.randrange(1, 8)):
        line[odd_name(rng)] = odd_value(rng)
    return _made(line | {semconv.LOG_RECORD_UID: uid, "message": odd_value(rng) or "none"})


def _many_names(rng: random.Random, number: int) -> OddLine:
    """Make a line whose names are its own: together they are more than a mapping takes."""
    names = {f"odd.many.{number}.{each}": rng.random() for each in range(_NAMES_A_LINE)}
    return _made(_line(rng, number, **names))


def _odd_time(rng: random.Random, number: int) -> OddLine:
    ids: dict[str, Any] = rng.choice([{}, {"trace_id": "zz", "span_id": 5}, {"trace_id": {"a": 1}}])
    return _made(_line(rng, number, **{"@timestamp": rng.choice(_DATES), **ids}))


def _no_uid(rng: random.Random, number: int) -> OddLine:
    """Make a line without an id of its own, or with one that is none."""
    mark = f"mark-{number}-"
    line = _line(rng, number, message=mark)
    line[semconv.LOG_RECORD_UID] = rng.choice([None, {"a": 1}, ["x"], 17.5, True])
    return OddLine(json.dumps(line).encode(), None, mark)


def _not_json(rng: random.Random, number: int) -> OddLine:
    mark = f"mark-{number}-"
    text = json.dumps(_line(rng, number, message=mark))
    torn = rng.choice(
        [mark + "plain", text[: text.index(mark) + len(mark)], f"{mark}{{}}", f"[{mark!r}]"]
    )
    return OddLine(torn.encode(), None, mark)


def _binary(rng: random.Random, number: int) -> OddLine:
    mark = f"mark-{number}-"
    noise = bytes(byte for byte in rng.randbytes(300) if byte not in b"\r\n")
    return OddLine(mark.encode() + noise, None, mark)


def _deep(rng: random.Random, number: int) -> OddLine:
    line = _line(rng, number)
    depth = rng.choice([5, 25, 150, 900, 3000])
    opened, closed = rng.choice([('{"d":', "}"), ("[", "]")])
    text = json.dumps(line)[:-1] + f', "odd.deep": {opened * depth}1{closed * depth}}}'
    return OddLine(text.encode(), line[semconv.LOG_RECORD_UID], None)


def _large(rng: random.Random, count: int) -> Iterator[OddLine]:
    for number in range(count, count + 30):
        size = rng.choice([33_000, 100_000, 300_000])
        where = rng.choice(["message", semconv.ERROR_STACK_TRACE, semconv.PROMPT_ID, "odd.large"])
        yield _made(_line(rng, number, **{where: rng.choice("汉k") * size}))
    uid = "U" * 600
    yield OddLine(
        json.dumps(_line(rng, count, **{semconv.LOG_RECORD_UID: uid})).encode(), uid, None
    )
    # Beyond what the reader takes as one line.
    mark = f"mark-{count + 50}-"
    yield OddLine(mark.encode() + b"x" * 9_000_000, None, mark)
