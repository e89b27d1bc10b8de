"""Ten thousand documents as nobody should send them: each is found, or on record with a reason."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from elasticsearch import ApiError, helpers

from comfyui_telemetry import semconv
from ddcolor_operations.data.letters import DEAD_LETTERS, collect
from ddcolor_operations.elastic.requests import NotYetError
from tests.support.elastic import (
    LOG_STREAM,
    SPAN_STREAM,
    Pipeline,
    eventually,
    new_trace_id,
    otlp_attributes,
)
from tests.support.odd_documents import OddLine, odd_lines, odd_name, odd_value

pytestmark = pytest.mark.timeout(300)

SEED = 20261124
LINES = 8500
SPANS = 500
RECORDS_PAST_THE_AGENT = 1000
MARK = re.compile(r"mark-\d+-")
FIELDS = ["body.text", f"attributes.{semconv.DOCUMENT_ID}", f"attributes.{semconv.ERROR_TYPE}"]


def test_every_odd_line_is_found_or_on_record(pipeline: Pipeline) -> None:
    """Lines of a file through agent and gateway: none of them vanishes."""
    lines = odd_lines(SEED, LINES)
    seen = Seen(pipeline, LOG_STREAM)
    with (pipeline.log_dir / "odd.jsonl").open("ab") as file:
        file.writelines(line.content + b"\n" for line in lines)

    wanted = {expected(line) for line in lines}
    assert len(wanted) == LINES
    eventually(lambda: seen.missing(wanted), lambda left: not left, timeout_s=240)


def test_every_odd_span_is_found_or_on_record(pipeline: Pipeline) -> None:
    """Spans by OTLP through agent and gateway, with their events and links: none vanishes."""
    rng = random.Random(SEED)  # noqa: S311 - not for secrets
    spans = [odd_span(rng, number) for number in range(SPANS)]
    seen = Seen(pipeline, SPAN_STREAM)
    for start in range(0, SPANS, 50):
        scope = {"name": "/receiver/oddreceiver", "attributes": odd_pairs(rng)}
        pipeline.post(
            "traces",
            {
                "resourceSpans": [
                    {
                        "resource": {"attributes": odd_pairs(rng)},
                        "scopeSpans": [{"scope": scope, "spans": spans[start : start + 50]}],
                    }
                ]
            },
        )

    ids = {span["traceId"] + span["spanId"] for span in spans}
    eventually(lambda: seen.missing(ids), lambda left: not left, timeout_s=100)


def test_every_odd_record_past_the_agent_is_found_or_on_record(pipeline: Pipeline) -> None:
    """Records sent to the gateway itself, which cleans nothing: what is refused has its reason."""
    rng = random.Random(SEED)  # noqa: S311 - not for secrets
    records = [odd_record(rng, number) for number in range(RECORDS_PAST_THE_AGENT)]
    ids = {f"past-{number}" for number in range(RECORDS_PAST_THE_AGENT)}
    seen = Seen(pipeline, LOG_STREAM)
    for start in range(0, RECORDS_PAST_THE_AGENT, 100):
        answer = requests.post(
            f"{pipeline.gateway_url}/v1/logs",
            json={"resourceLogs": [{"scopeLogs": [{"logRecords": records[start : start + 100]}]}]},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text

    eventually(lambda: seen.missing(ids), lambda left: not left, timeout_s=100)
    letters = pipeline.search(DEAD_LETTERS, {"prefix": {semconv.DOCUMENT_ID: "past-"}})
    assert len(letters) > RECORDS_PAST_THE_AGENT // 20
    for letter in letters:
        attributes = letter["_source"]["attributes"]
        assert attributes[semconv.EVENT_NAME] == semconv.EVENT_DOCUMENT_REFUSED
        assert attributes[semconv.ERROR_TYPE]
        assert attributes[semconv.DOCUMENT_TARGET] == LOG_STREAM
        assert letter["_source"]["body"]["text"].startswith("Document refused: ")
        assert letter["_source"]["ddcolor"]["document"]["source"]["attributes"]


def expected(line: OddLine) -> str:
    """Return what a line is known by: its mark or the _id that its uid becomes."""
    if line.uid is None:
        assert line.mark is not None
        return line.mark
    return line.uid if len(line.uid) <= 256 else hashlib.sha256(line.uid.encode()).hexdigest()


class Seen:
    """What has become of what was sent: the _id and mark of each that is found or on record."""

    def __init__(self, pipeline: Pipeline, stream: str) -> None:
        self._pipeline = pipeline
        self._stream = stream
        self._since = datetime.now(UTC)
        self._known: set[str] = set()

    def missing(self, wanted: set[str]) -> set[str]:
        """Return what is neither found nor on record yet, or how much is as long as it is less."""
        where: dict[str, Any] = {
            "index": f"{self._stream},{DEAD_LETTERS}",
            "ignore_unavailable": True,
        }
        # By the time of arrival, which is long before a document is seen if its mapping is new.
        recent = {"range": {"event.ingested": {"gte": self._since.isoformat()}}}
        try:
            collect(self._pipeline.client)
            arrived = int(self._pipeline.client.count(query=recent, **where)["count"])
            if arrived < len(wanted):
                return {f"{arrived} of {len(wanted)} documents"}
            for hit in helpers.scan(
                self._pipeline.client,
                query={"query": recent, "_source": FIELDS},
                size=5000,
                **where,
            ):
                self._note(hit)
        except NotYetError:
            return {"a shard that is about to start"}
        except ApiError as error:
            # The first document of a stream has just made an index.
            if error.status_code != 503:
                raise
            return {"a shard that is about to start"}
        return wanted - self._known

    def _note(self, hit: Mapping[str, Any]) -> None:
        attributes = hit["_source"].get("attributes", {})
        if DEAD_LETTERS in hit["_index"]:
            assert attributes[semconv.ERROR_TYPE]
            self._known.add(attributes.get(semconv.DOCUMENT_ID, ""))
        else:
            self._known.add(hit["_id"])
            self._known.update(MARK.findall(str(hit["_source"].get("body", {}).get("text", ""))))


def odd_span(rng: random.Random, number: int) -> dict[str, Any]:
    """Return a span in OTLP/JSON whose times, names, attributes, events and links are odd."""
    now = time.time_ns()
    start = rng.choice([0, 1, now, 2**63, 2**64 - 1])
    return {
        "traceId": new_trace_id(),
        "spanId": f"{number + 1:016x}",
        "name": rng.choice(["", "n" * 50_000, "node", "\x00"]),
        "kind": rng.randrange(6),
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(rng.choice([0, now, 2**64 - 1])),
        "attributes": odd_pairs(rng) if number >= 12 else many_names(number),
        "traceState": rng.choice(["", "s" * 5000]),
        "status": {"code": rng.randrange(3), "message": rng.choice(["", "m" * 50_000])},
        "events": [
            {
                "name": rng.choice(["", "event"]),
                "timeUnixNano": str(rng.choice([0, now, 2**64 - 1])),
                "attributes": odd_pairs(rng),
            }
        ],
        "links": [
            {"traceId": new_trace_id(), "spanId": "11" * 8, "attributes": finite(odd_pairs(rng))}
        ],
    }


def odd_record(rng: random.Random, number: int) -> dict[str, Any]:
    """Return a log record with an id, as an agent would send it if it cleaned nothing."""
    now = time.time_ns()
    unique = {pair["key"]: pair for pair in finite(odd_pairs(rng))}
    unique["elasticsearch.document_id"] = otlp_attributes(
        {"elasticsearch.document_id": f"past-{number}"}
    )[0]
    return {
        "timeUnixNano": str(rng.choice([0, now, now, now, 2**64 - 1])),
        "observedTimeUnixNano": str(now),
        "body": rng.choice(
            [{"stringValue": "text"}, nested(rng.choice([3, 40])), {"intValue": "5"}]
        ),
        "attributes": list(unique.values()),
    }


def odd_pairs(rng: random.Random) -> list[dict[str, Any]]:
    """Return attributes in OTLP/JSON, some of them twice, some no number."""
    pairs = [{"key": odd_name(rng), "value": otlp_value(odd_value(rng))} for _ in range(6)]
    pairs.append({"key": "odd.nan", "value": {"doubleValue": rng.choice(["NaN", "Infinity", 1.5])}})
    pairs.append({"key": "odd.deep", "value": nested(rng.choice([2, 30, 200]))})
    return [*pairs, rng.choice(pairs)]


def many_names(number: int) -> list[dict[str, Any]]:
    """Return attributes with names of their own, which soon fill the mapping."""
    return otlp_attributes({f"odd.many.{number}.{each}": each for each in range(100)})


def finite(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pairs that make JSON: no name twice, no value that is no number."""
    return list({pair["key"]: pair for pair in pairs if pair["key"] != "odd.nan"}.values())


def nested(depth: int) -> dict[str, Any]:
    """Return a value of maps within maps."""
    value: dict[str, Any] = {"intValue": "1"}
    for _ in range(depth):
        value = {"kvlistValue": {"values": [{"key": "d", "value": value}]}}
    return value


def otlp_value(value: Any) -> dict[str, Any]:
    """Return a value in OTLP/JSON; what protobuf cannot carry becomes text."""
    if isinstance(value, Mapping):
        pairs = [{"key": key, "value": otlp_value(each)} for key, each in value.items()]
        return {"kvlistValue": {"values": pairs}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [otlp_value(each) for each in value]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if value is None:
        return {}
    return {"stringValue": str(value).encode("utf-8", "replace").decode()}
