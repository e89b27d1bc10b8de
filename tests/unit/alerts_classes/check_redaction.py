"""Redaction and the log lines.

Run in ElastAlert2's environment by tests/integration/test_elastalert_rules.py.
"""

from __future__ import annotations

import json
import logging
import re
import time
import unittest

from ddcolor_alerts.jsonlog import JsonFormatter, Repetitions, record_uid
from ddcolor_alerts.redaction import RedactMatch, redact
from tests.support.redaction_examples import KEPT, NOBODYS_BUSINESS, SECRETS


class RedactionTest(unittest.TestCase):
    """What goes and what stays."""

    def test_takes_out_what_is_nobodys_business(self) -> None:
        """Nothing of the secret part is left, and a second pass changes nothing."""
        for what, text in SECRETS.items():
            with self.subTest(what):
                clean = redact(text)
                for part in NOBODYS_BUSINESS:
                    assert part not in clean
                assert redact(clean) == clean

    def test_leaves_the_rest(self) -> None:
        """Ids, times, versions and texts that were redacted before are untouched."""
        for text in KEPT:
            assert redact(text) == text

    def test_comes_to_an_end(self) -> None:
        """Long texts made to confuse the patterns are done before the run's time limit."""
        for piece in ("a/", "/a", "1.", "a@", ":", "key", "\\", "a.", "f:", "1" * 7):
            redact(piece * 5000)

    def test_the_enhancement_cannot_raise(self) -> None:
        """Strange values are replaced; ids stay although they look like something else."""

        class Rude(str):
            def __getitem__(self, _: object) -> str:
                raise RuntimeError

        loop: dict[str, object] = {}
        loop["loop"] = loop
        match = {
            "_id": "13812345678",
            "trace_id": "13812345678",
            "body": {"text": "at /srv/photos/anna/x.png"},
            "attributes": {"log.record.uid": "13812345678", "list": ["10.1.2.3", 4, None]},
            "rude": Rude("x"),
            "loop": loop,
        }
        RedactMatch({}).process(match)
        assert match["_id"] == "13812345678"
        assert match["trace_id"] == "13812345678"
        assert match["body"] == {"text": "at <path>"}
        assert match["attributes"] == {"log.record.uid": "13812345678", "list": ["<ip>", 4, None]}
        assert match["rude"] == "[unreadable]"


class LogLineTest(unittest.TestCase):
    """The form of a line."""

    def test_has_the_contracts_names(self) -> None:
        """A line has time, level, text, service and a uid, and its exception redacted."""
        error = ValueError("cannot read /srv/photos/anna/x.png")
        exc_info = (ValueError, error, None)
        record = logging.LogRecord("x", 40, __file__, 1, "It %s", ("failed",), exc_info)
        record.event = "ddcolor.alerting.started"
        record.fields = {"ddcolor.alerting.rules": 12}
        line = json.loads(JsonFormatter("2.31.0").format(record))
        assert line["message"] == "It failed"
        assert line["log.level"] == "error"
        assert line["event.name"] == "ddcolor.alerting.started"
        assert line["ddcolor.alerting.rules"] == 12
        assert line["error.type"] == "builtins.ValueError"
        assert line["error.message"] == "cannot read <path>"
        assert "anna" not in line["error.stack_trace"]
        assert re.search(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z", line["@timestamp"])
        assert len(line["log.record.uid"]) == 26

    def test_says_the_same_once(self) -> None:
        """Of many lines with the same beginning the first is said, the others are counted."""
        repetitions = Repetitions()

        def says(text: str) -> bool:
            return repetitions.filter(logging.LogRecord("x", 40, "", 1, text, None, None))

        away = "Error running query: ConnectionError(HTTPConnectionPool(host='a', port=9200)"
        assert [says(f"{away}: {number}") for number in range(3)] == [True, False, False]
        assert says("Error running another query")

    def test_uids_sort_by_time(self) -> None:
        """A later uid is greater."""
        first = record_uid()
        time.sleep(0.002)
        assert first < record_uid()


if __name__ == "__main__":
    unittest.main()
