"""The alerter and the alerts it makes.

Run in ElastAlert2's environment by tests/integration/test_elastalert_rules.py.
"""

# ruff: noqa: PT027  # pytest is not installed there

from __future__ import annotations

import json
import os
import re
import threading
import unittest
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from unittest import mock

from elastalert.util import EAException

from ddcolor_alerts.alert import alert_id, build_alert, check_metadata
from ddcolor_alerts.alerter import NotifierAlerter
from ddcolor_alerts.heartbeat import HeartbeatAlerter


def make_rule(**changes: Any) -> dict[str, Any]:
    """Return what ElastAlert2's loader would make of a small rule."""
    return {
        "name": "keyword_out_of_memory",
        "notifier_url": "http://127.0.0.1:1",
        "timestamp_field": "event.ingested",
        "buffer_time": timedelta(minutes=2),
        "x-ddcolor": {"kind": "out_of_memory", "level": 2},
        **changes,
    }


def make_match(**changes: Any) -> dict[str, Any]:
    """Return a match as it comes from Elasticsearch."""
    return {
        "_id": "01J",
        "@timestamp": "1767600000123.456000",
        "body": {"text": "Out of memory: node DDColor_Colorize (2)"},
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "attributes": {
            "log.record.uid": "01J",
            "comfyui.node.class_type": "DDColor_Colorize",
            "comfyui.node.id": "2",
            "comfyui.error.kind": "out_of_memory",
        },
        "resource": {"attributes": {"service.name": "ddcolor-service"}},
        "event": {"ingested": datetime(2026, 1, 5, 8, tzinfo=UTC)},
        **changes,
    }


class Notifier(BaseHTTPRequestHandler):
    """Answers with the statuses it was given, in turn, then with 202."""

    statuses: ClassVar[list[int]] = []
    bodies: ClassVar[list[dict[str, Any]]] = []
    tokens: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        """Note the body and answer."""
        self.tokens.append(self.headers["authorization"])
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        status = self.statuses.pop(0) if self.statuses else 202
        answer = b'{"status": "accepted"}' if status == 202 else b'{"error": "no"}'
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        """Note that this was asked."""
        self.bodies.append({"path": self.path})
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class AlertTest(unittest.TestCase):
    """What an alert says."""

    def test_says_what_the_record_says(self) -> None:
        """Node, trace, time and text are the record's; kind and level are the rule's."""
        alert = build_alert(make_rule(), make_match())
        assert (alert["kind"], alert["level"], alert["count"]) == ("out_of_memory", 2, 1)
        assert (alert["node"], alert["node_id"]) == ("DDColor_Colorize", "2")
        assert alert["occurred_at"] == "2026-01-05T08:00:00.123456Z"
        assert alert["summary"] == "Out of memory: node DDColor_Colorize (2)"

    def test_same_record_has_the_same_id_under_one_rule_only(self) -> None:
        """The id depends on rule and record, and on nothing that a second look could change."""
        rule, other = make_rule(), make_rule(name="another")
        later = make_match(num_hits=7, event={"ingested": "2026-01-05T09:00:00Z"})
        assert alert_id(rule, make_match()) == alert_id(rule, later)
        assert alert_id(rule, make_match()) != alert_id(other, make_match())
        assert re.search(r"\A[0-9a-f]{32}\Z", alert_id(rule, make_match()))

    def test_a_record_of_another_program_is_named_by_its_document(self) -> None:
        """Without a uid the document's id is used, which is the same for a re-sent line."""
        match = make_match(attributes={}, _id="other")
        assert alert_id(make_rule(), match) != alert_id(make_rule(), make_match())
        assert alert_id(make_rule(), match) == alert_id(make_rule(), dict(match))

    def test_an_aggregation_is_named_by_its_key_and_window(self) -> None:
        """Two looks at one window make one alert, the next window makes another."""
        rule = make_rule(query_key="node", timeframe=timedelta(minutes=10))

        def at(minute: int, node: str = "A") -> str:
            moment = datetime(2026, 1, 5, 8, minute, tzinfo=UTC)
            return alert_id(rule, {"event": {"ingested": moment}, "node": node})

        assert at(1) == at(9)
        assert at(9) != at(10)
        assert at(1) != at(1, "B")

    def test_a_span_names_its_alert_whichever_record_fires(self) -> None:
        """Two ways on which records change places make one alert; the next span is another."""
        rule = make_rule(
            query_key="attributes.comfyui.node.class_type",
            timeframe=timedelta(minutes=10),
            realert=timedelta(minutes=5),
        )
        rule["x-ddcolor"]["identity"] = "window"

        def of(uid: str, minute: int, arrived: int) -> str:
            match = make_match(_id=uid)
            match["attributes"]["log.record.uid"] = uid
            match["@timestamp"] = datetime(2026, 1, 5, 8, minute, tzinfo=UTC).isoformat()
            match["event"] = {"ingested": datetime(2026, 1, 5, 8, arrived, tzinfo=UTC)}
            return alert_id(rule, match)

        assert of("a", 6, 6) == of("b", 9, 59)
        assert of("a", 6, 6) != of("a", 11, 11)

    def test_a_finding_gives_count_and_numbers(self) -> None:
        """What a rule type measured is said in text and values."""
        rule = make_rule()
        rule["x-ddcolor"] |= {
            "summary": "{count} failed, {value:.0%}: {message}",
            "values": {"rate": "finding.value", "samples": "finding.samples"},
        }
        finding = {"count": 3, "value": 0.25, "samples": 12}
        alert = build_alert(rule, make_match(body={"text": "x"}, finding=finding))
        assert (alert["count"], alert["summary"]) == (3, "3 failed, 25%: x")
        assert alert["values"] == {"rate": 0.25, "samples": 12}

    def test_a_flatline_names_its_service_by_its_key(self) -> None:
        """Its match is no record; it has a time and a key."""
        rule = make_rule(query_key="resource.attributes.service.name")
        moment = datetime(2026, 1, 5, 8, tzinfo=UTC)
        alert = build_alert(rule, {"event.ingested": moment, "key": "one", "count": 0})
        assert alert["service"] == "one"
        assert build_alert(make_rule(), {"event.ingested": moment})["service"] == "unknown"

    def test_a_mistake_in_the_metadata_is_said_at_the_start(self) -> None:
        """A rule that could make no alert is refused when it is loaded."""
        for metadata in (
            None,
            {"kind": "out_of_memory"},
            {"kind": "out_of_memory", "level": 4},
            {"level": 2},
            {"kind": "out_of_memory", "level": 2, "summary": "{nonsense}"},
            {"kind": "out_of_memory", "level": 2, "identity": "span"},
        ):
            with self.subTest(metadata), self.assertRaisesRegex(EAException, "x-ddcolor"):
                check_metadata(make_rule(**{"x-ddcolor": metadata}))


class AlerterTest(unittest.TestCase):
    """What is raised, and how often is tried."""

    def setUp(self) -> None:
        """Start a notifier that takes everything."""
        Notifier.statuses.clear()
        Notifier.bodies.clear()
        NotifierAlerter.away = False
        NotifierAlerter._next_try = 0.0
        self.server = HTTPServer(("127.0.0.1", 0), Notifier)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_port}/"
        self.alerter = NotifierAlerter(make_rule(notifier_url=url))

    def tearDown(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self.server.server_close()

    def test_posts_each_match(self) -> None:
        """Two matches are two alerts."""
        self.alerter.alert([make_match(), make_match(attributes={"log.record.uid": "02J"})])
        assert len({body["alert_id"] for body in Notifier.bodies}) == 2

    def test_tries_again_at_once(self) -> None:
        """Two failures in a row are a notifier that restarts; the third try succeeds."""
        Notifier.statuses[:] = [500, 503]
        self.alerter.alert([make_match()])
        assert len(Notifier.bodies) == 3

    def test_raises_what_makes_elastalert2_keep_the_alert(self) -> None:
        """After three failures it raises EAException, and does not try for a while."""
        Notifier.statuses[:] = [500, 500, 500]
        with self.assertRaisesRegex(EAException, "HTTP 500"):
            self.alerter.alert([make_match()])
        with self.assertRaises(EAException):
            self.alerter.alert([make_match()])
        assert len(Notifier.bodies) == 3
        assert NotifierAlerter.away

    def test_raises_when_nobody_listens(self) -> None:
        """A refused connection is EAException too, and names host and port only."""
        alerter = NotifierAlerter(make_rule(notifier_url="http://127.0.0.1:1/x?token=s3cret"))
        with self.assertRaises(EAException) as caught:
            alerter.alert([make_match()])
        assert "s3cret" not in str(caught.exception)
        assert "127.0.0.1:1" in str(caught.exception)

    def test_follows_no_redirection(self) -> None:
        """Following one would ask for a page instead of giving the alert away."""
        Notifier.statuses[:] = [302, 202]
        self.alerter.alert([make_match()])
        assert len(Notifier.bodies) == 2
        assert Notifier.bodies[0] == Notifier.bodies[1]

    def test_gives_up_what_the_notifier_calls_unusable(self) -> None:
        """A 400 or 413 is logged and not tried again: it would be refused for ever."""
        for status in (400, 413):
            Notifier.bodies.clear()
            Notifier.statuses[:] = [status]
            with self.subTest(status), self.assertLogs("ddcolor_alerts.alerter", "ERROR"):
                self.alerter.alert([make_match()])
            assert len(Notifier.bodies) == 1

    def test_shows_its_token_if_there_is_one(self) -> None:
        """It comes from the environment; neither the history nor an error has it."""
        Notifier.tokens.clear()
        with mock.patch.dict(os.environ, {"DDCOLOR_NOTIFIER_TOKEN": "canary"}):
            knowing = NotifierAlerter(make_rule(notifier_url=self.alerter.rule["notifier_url"]))
        knowing.alert([make_match()])
        self.alerter.alert([make_match()])
        Notifier.statuses[:] = [401, 401, 401]
        with self.assertRaises(EAException) as caught:
            knowing.alert([make_match()])
        assert Notifier.tokens[:2] == ["Bearer canary", None]
        assert "canary" not in f"{caught.exception} {knowing.get_info()} {knowing.rule}"

    def test_refuses_an_address_that_was_not_filled_in(self) -> None:
        """An unset variable is said when the rule is loaded."""
        with self.assertRaisesRegex(EAException, "variable"):
            NotifierAlerter(make_rule(notifier_url="$DDCOLOR_NOTIFIER_URL"))


class HeartbeatTest(unittest.TestCase):
    """What the notifier hears of the chain."""

    def setUp(self) -> None:
        """Start a notifier that takes everything."""
        Notifier.statuses.clear()
        Notifier.bodies.clear()
        self.server = HTTPServer(("127.0.0.1", 0), Notifier)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def tearDown(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self.server.server_close()

    def test_posts_the_newest_of_each_service(self) -> None:
        """A backlog of heartbeats proves no more than its last."""
        late = make_match(**{"@timestamp": "2026-01-05T08:01:00+00:00"})
        other = make_match(resource={"attributes": {"service.name": "another"}})
        HeartbeatAlerter(make_rule(notifier_url=self.url)).alert([late, make_match(), other])
        assert sorted(Notifier.bodies, key=lambda body: body["service"]) == [
            {
                "path": "elasticsearch",
                "service": service,
                "occurred_at": f"2026-01-05T08:{time}Z",
            }
            for service, time in (("another", "00:00.123456"), ("ddcolor-service", "01:00.000000"))
        ]

    def test_never_raises(self) -> None:
        """A heartbeat that nobody took is gone: sent later it would prove nothing."""
        for notifier_url in (self.url, "http://127.0.0.1:1"):
            Notifier.statuses[:] = [500]
            HeartbeatAlerter(make_rule(notifier_url=notifier_url)).alert([make_match()])
        assert len(Notifier.bodies) == 1


if __name__ == "__main__":
    unittest.main()
