"""Validation of posted alerts."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddcolor_operations.notifier.alert import Alert, AlertError, to_rfc3339
from tests.support.alerts import NOON, alert_json, make_alert


def test_a_valid_alert_comes_back_as_it_was_sent() -> None:
    """Every field survives, and the time is in UTC."""
    data = alert_json(values={"duration_s": 31.5, "device": "cuda:0"}, count=3, owner="vision")

    shown = Alert.from_json(data).to_json()

    assert shown == data | {"occurred_at": to_rfc3339(NOON)}


def test_optional_fields_may_be_absent_or_null() -> None:
    """Only what identifies and classes the fault is required."""
    needed = ("alert_id", "rule", "kind", "level", "service", "occurred_at")
    data = {name: value for name, value in alert_json().items() if name in needed}

    alert = Alert.from_json(data | {"node": None, "trace_id": None})

    assert (alert.node, alert.trace_id, alert.count, alert.values) == (None, None, 1, {})


def test_an_odd_description_does_not_lose_the_alert() -> None:
    """Empty is absent, long is cut, and a number that JSON lacks becomes a text."""
    values = {"p95_s": float("nan"), "rate": float("inf")}

    alert = make_alert(node="", node_id="x" * 999, values=values)

    assert alert.node is None
    assert alert.node_id == "x" * 256
    assert json.loads(json.dumps(alert.to_json(), allow_nan=False))["values"] == {
        "p95_s": "nan",
        "rate": "inf",
    }


def test_unknown_fields_are_ignored() -> None:
    """A newer rule does not lose its alert over a field that is not known yet."""
    assert Alert.from_json(alert_json(scenario="person")) == make_alert()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"alert_id": "ABC"}, "alert_id"),
        ({"alert_id": None}, "alert_id"),
        ({"rule": ""}, "rule"),
        ({"rule": "x" * 257}, "rule"),
        ({"kind": "Out of memory"}, "kind"),
        ({"level": 4}, "level"),
        ({"level": 0}, "level"),
        ({"level": True}, "level"),
        ({"level": "2"}, "level"),
        ({"service": 7}, "service"),
        ({"node": 7}, "node"),
        ({"trace_id": "00-4bf92f"}, "trace_id"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2026-01-31T08:30:00"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+23:00"}, "occurred_at"),
        ({"summary": ["a"]}, "summary"),
        ({"count": 0}, "count"),
        ({"count": 1.5}, "count"),
        ({"values": [1]}, "values"),
        ({"values": {"a": None}}, "values"),
        ({"values": {str(n): n for n in range(21)}}, "values"),
    ],
)
def test_a_wrong_field_is_named_in_the_error(changes: dict[str, Any], field: str) -> None:
    """The error starts with the field and says what to send instead."""
    with pytest.raises(AlertError) as caught:
        Alert.from_json(alert_json(**changes))

    assert str(caught.value).startswith(field)


@pytest.mark.parametrize("body", [None, [], "text", 7])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    """Only a JSON object can be an alert."""
    with pytest.raises(AlertError, match="one JSON object"):
        Alert.from_json(body)


@settings(max_examples=50, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_nothing_but_an_alert_error_comes_out_of_a_bad_field(value: Any) -> None:
    """Whatever JSON value stands in a field, it is taken or refused, never a crash."""
    for field in alert_json():
        try:
            Alert.from_json(alert_json(**{field: value}))
        except AlertError:
            continue


def test_a_summary_is_redacted_before_it_is_stored() -> None:
    """What a rule forgot to redact is not kept."""
    alert = make_alert(summary="failed at /home/li/wedding.png from 10.1.2.3")

    assert "wedding" not in alert.summary
    assert "10.1.2.3" not in alert.summary


def test_a_lone_surrogate_is_replaced_so_that_the_alert_can_be_stored() -> None:
    """JSON may hold half a character; UTF-8 may not."""
    make_alert(summary="bad \ud800 half").summary.encode("utf-8")


def test_a_stored_alert_is_read_back_without_checks() -> None:
    """What one version accepted, a stricter one still delivers."""
    stored = make_alert().to_json() | {"kind": "Not A Kind Any More"}

    assert Alert.from_stored(stored).kind == "Not A Kind Any More"
