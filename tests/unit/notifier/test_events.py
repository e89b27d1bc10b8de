"""The history of alerts as log records."""

from __future__ import annotations

from typing import Any

import pytest

from comfyui_telemetry import semconv
from comfyui_telemetry.testing import capture, check_declared
from ddcolor_operations.notifier.acknowledgements import Acknowledged
from ddcolor_operations.notifier.episodes import Told
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.occasions import Episode, Escalation
from tests.support.alerts import NOON, TRACE_ID, make_alert, make_item


def told(trace_id: str | None) -> list[dict[str, Any]]:
    """Return the records of everything that can happen to an alert of a trace."""
    alert = make_alert(trace_id=trace_id)
    now = NOON.timestamp()
    with capture() as captured:
        log = AlertLog(captured.telemetry.logger("notifier"))
        log.taken(alert, "accepted")
        log.taken(alert, "held_back")
        log.taken(alert, "duplicate")
        log.delivered("wecom", [make_item(trace_id=trace_id)], None, now + 2)
        log.failed("sms", [make_item(trace_id=trace_id)], "retry", "busy")
        log.failed("sms", [make_item(trace_id=trace_id)], "dead", "gone")
        log.acknowledged(Acknowledged(alert, "zhang", "", now, 95.0, already=False))
        log.told(
            Told(ended=[(alert, Episode(now, now, 3))], escalated=[(alert, Escalation(1, now, 3))])
        )
        log.alive(2)
        assert check_declared(captured.records, (), ()) == []
        *about_alerts, alive = captured.records
        assert alive[semconv.ALERT_ACTIVE] == 2
        assert "trace_id" not in alive
        return about_alerts


def test_each_record_belongs_to_the_trace_of_its_fault() -> None:
    """Whoever looks at the trace sees who was told of it; a duplicate leaves no record."""
    records = told(TRACE_ID)

    assert [record[semconv.EVENT_NAME] for record in records] == [
        semconv.EVENT_ALERT_ACCEPTED,
        semconv.EVENT_ALERT_HELD_BACK,
        semconv.EVENT_ALERT_DELIVERED,
        semconv.EVENT_ALERT_FAILED,
        semconv.EVENT_ALERT_FAILED,
        semconv.EVENT_ALERT_ACKNOWLEDGED,
        semconv.EVENT_ALERT_RESOLVED,
        semconv.EVENT_ALERT_ESCALATED,
    ]
    assert {record["trace_id"] for record in records} == {TRACE_ID}


def test_an_alert_of_no_trace_has_records_without_one() -> None:
    """A silent service has no trace, and none is invented."""
    assert all("trace_id" not in record for record in told(None))


def test_a_delivery_tells_how_long_it_took() -> None:
    """The time runs from the fault to the channel's confirmation."""
    (delivered,) = [
        r for r in told(TRACE_ID) if r[semconv.EVENT_NAME] == semconv.EVENT_ALERT_DELIVERED
    ]

    assert delivered[semconv.ALERT_TIME_TO_DELIVER] == pytest.approx(2.0)
