"""Nothing of a user's paths, addresses or keys passes the real agent; ids do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyui_telemetry import semconv
from tests.support.elastic import (
    LOG_STREAM,
    SPAN_STREAM,
    Pipeline,
    log_line,
    new_span_id,
    new_trace_id,
    otlp_attributes,
    otlp_span,
)

pytestmark = pytest.mark.timeout(300)


def of_trace(trace_id: str) -> dict[str, Any]:
    """Return the query for the documents of a trace."""
    return {"term": {"trace_id": trace_id}}


SECRETS = {
    "path": "/home/li/照片/wedding.jpg",
    "windows": r"C:\Users\li\wedding.jpg",
    "share": r"\\fileserver\photos\wedding.jpg",
    "ip": "10.23.45.67",
    "ip6": "2001:db8::8a2e:370:7334",
    "key": "https://chat.example/cgi-bin/webhook/send?key=693a91f6-7d4e-4bc4-97a0-0ec2sifa5aaa",
    "token": "https://chat.example/robot/send?access_token=566cc69da782ec",
    "bearer": "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abcdef",
    "password": "password=hunter2hunter2",
    "mail": "li.wei@example.com",
    "sign": "SEC" + "0123456789abcdef" * 4,
    "mobile": "13823456789",
    "spaced mobile": "+86 139 8765 4321",
    "identity": "11010519491231002X",
}
FORBIDDEN = [
    *("wedding", "10.23.45.67", "2001:db8", "693a91f6", "566cc69d", "eyJhbGci"),
    *("hunter2", "li.wei", "0123456789abcdef"),
    *("13823456789", "8765 4321", "110105"),
]
IDS = {
    semconv.PROMPT_ID: "8b1f0c6e-1234-4abc-9def-0123456789aa",
    semconv.NODE_ID: "2",
    semconv.NODE_CLASS_TYPE: "DDColor_Colorize",
    semconv.HTTP_ROUTE: "/upload/image",
}


def test_log_line_is_redacted_but_keeps_its_ids(pipeline: Pipeline) -> None:
    """Paths, addresses, keys and mails do not reach Elasticsearch, wherever in a line they are."""
    trace_id = new_trace_id()
    pipeline.write_lines(
        [
            log_line(
                "Execution error: " + " and ".join(SECRETS.values()),
                trace_id=trace_id,
                **SECRETS,
                **IDS,
                nested={"deep": SECRETS, "list": list(SECRETS.values())},
                number=13800138000,
                memory="15032385536 bytes of 17179869184 bytes, 13958643712 B",
            ),
            f"Not JSON: {' '.join(SECRETS.values())} {trace_id}",
        ],
        name="redaction",
    )

    (hit,) = pipeline.wait_for(LOG_STREAM, of_trace(trace_id))
    (plain,) = pipeline.wait_for(LOG_STREAM, {"match_phrase": {"message": trace_id}})
    text = json.dumps([hit, plain], ensure_ascii=False)
    assert [word for word in FORBIDDEN if word in text] == []
    attributes = hit["_source"]["attributes"]
    assert {name: attributes[name] for name in IDS} == IDS
    assert attributes["number"] == 13800138000
    assert attributes["memory"] == "15032385536 bytes of 17179869184 bytes, 13958643712 B"
    assert hit["_source"]["resource"]["attributes"]["service.instance.id"].startswith("6f0c2a00")
    assert hit["_source"]["body"]["text"].startswith("Execution error: ")


def test_span_is_redacted_but_keeps_its_ids(pipeline: Pipeline) -> None:
    """Name, status, attributes and events of a span are redacted too."""
    trace_id, span_id = new_trace_id(), new_span_id()
    joined = " and ".join(SECRETS.values())
    request = otlp_span(
        trace_id,
        span_id,
        name=f"open {SECRETS['path']}",
        attributes={**SECRETS, **IDS},
        status_message=joined,
    )
    (span,) = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    span["events"] = [
        {
            "name": "exception",
            "timeUnixNano": span["endTimeUnixNano"],
            "attributes": otlp_attributes({"exception.message": joined}),
        }
    ]
    request["resourceSpans"][0]["resource"]["attributes"] += otlp_attributes(
        {"process.command_line": f"python {SECRETS['path']}", "process.owner": "li"}
    )
    pipeline.post("traces", request)

    (hit,) = pipeline.wait_for(SPAN_STREAM, of_trace(trace_id))
    (event,) = pipeline.wait_for(LOG_STREAM, of_trace(trace_id))
    text = json.dumps([hit, event], ensure_ascii=False)
    assert [word for word in FORBIDDEN if word in text] == []
    assert {name: hit["_source"]["attributes"][name] for name in IDS} == IDS
    assert hit["_source"]["name"] == "open ****"
    assert not [name for name in hit["_source"]["attributes"] if name.startswith("redact.")]
    assert "process.owner" not in hit["_source"]["resource"]["attributes"]
