"""Redaction and the log lines.

Run in ElastAlert2's environment by tests/integration/test_elastalert_rules.py.
"""

from __future__ import annotations

import json
import logging
import re
import time
import unittest
from datetime import UTC, datetime
from typing import Any

from ddcolor_alerts.jsonlog import JsonFormatter, Repetitions, record_uid
from ddcolor_alerts.redaction import MAX_LENGTH, RedactMatch, redact
from tests.support.redaction_examples import HARMLESS, SECRETS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class RedactionTest(unittest.TestCase):
    """What goes and what stays."""

    def test_takes_out_what_is_nobodys_business(self) -> None:
        """Nothing of the secret part is left, and a second pass changes nothing."""
        for text, parts in SECRETS:
            with self.subTest(text):
                clean = redact(text)
                assert not [part for part in parts if part in clean], clean
                assert redact(clean) == clean

    def test_leaves_the_rest(self) -> None:
        """Ids, times, versions and texts that were redacted before are untouched."""
        for text in HARMLESS:
            with self.subTest(text):
                assert redact(text) == text

    def test_comes_to_an_end(self) -> None:
        """Long texts made to confuse the patterns are done before the run's time limit."""
        for piece in ("a/", "/a", "1.", "a@", ":", "key", "\\", "a.", "f:", "1" * 7):
            redact(piece * 5000)

    def test_a_secret_at_the_cut_is_not_half_shown(self) -> None:
        """The longest text is cut after it was redacted."""
        for missing in range(1, 30):
            text = "x" * (MAX_LENGTH - missing - 1) + " anna1234567890@example.com"
            clean = redact(text)
            assert len(clean) <= MAX_LENGTH
            assert "anna" not in clean

    def test_the_enhancement_cannot_raise(self) -> None:
        """Strange values are replaced; ids stay although they look like something else."""
        loop: dict[str, object] = {}
        loop["loop"] = loop
        match: dict[Any, Any] = {
            "_id": "13812345678",
            "trace_id": "13812345678",
            "body": {"text": "at /srv/photos/anna/x.png"},
            "attributes": {"log.record.uid": "13812345678", "list": ["10.1.2.3", 4, None]},
            "tuple": ("10.1.2.3", {"10.1.2.3"}),
            "bytes": b"from 10.1.2.3",
            "when": NOON,
            "surrogate": "\ud800 10.1.2.3",
            "loop": loop,
            7: "10.1.2.3",
        }
        hostile = (Mute(), MuteText("x"), MuteItems(a=1), MuteList(["x"]), HostileClass())
        match |= {f"hostile {number}": value for number, value in enumerate(hostile)}
        match |= {f"within {number}": {"deep": [v]} for number, v in enumerate(hostile)}
        RedactMatch({}).process(match)
        assert match["_id"] == "13812345678"
        assert match["trace_id"] == "13812345678"
        assert re.fullmatch(r"at <path>/file-[0-9a-f]{8}\.png", match["body"]["text"])
        assert match["attributes"] == {"log.record.uid": "13812345678", "list": ["<ip>", 4, None]}
        assert match["tuple"] == ["<ip>", ["<ip>"]]
        assert match["bytes"] == "b'from <ip>'"
        assert match["when"] == NOON
        assert match["surrogate"] == "\ud800 <ip>"
        assert match[7] == "<ip>"
        assert "[too deep]" in str(match["loop"])
        for number in range(len(hostile)):
            assert match[f"hostile {number}"] == match[f"within {number}"] == "[unreadable]"


class Mute:
    """Says nothing of itself."""

    def __str__(self) -> str:
        raise RuntimeError("canary")


class MuteText(str):
    """A text that cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("canary")


class MuteItems(dict[str, int]):
    """A mapping that cannot be gone through."""

    def items(self) -> Any:
        """Fail."""
        raise RuntimeError("canary")


class MuteList(list[str]):
    """A list that cannot be gone through."""

    def __iter__(self) -> Any:
        raise RuntimeError("canary")


class HostileClass:
    """An object that even isinstance() fails on."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Fail."""
        raise RuntimeError("canary")


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
        assert re.fullmatch(r"cannot read <path>/file-[0-9a-f]{8}\.png", line["error.message"])
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
