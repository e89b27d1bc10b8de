"""What counts as arrived, missing and too much."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.demo.evidence import Alert, Arrival, Seen, Sending
from ddcolor_operations.demo.faults import expect
from ddcolor_operations.demo.judge import Incident, judge, outstanding
from ddcolor_operations.report.collect import FaultRecord
from tests.support.runs import CHANNELS, START


def at(seconds: float) -> datetime:
    """Return a moment of the run."""
    return START + timedelta(seconds=seconds)


def incident(kind: str, caused_s: float, *levels: int, from_cause: bool = False) -> Incident:
    """Make an incident that must raise ``kind`` at each of ``levels``."""
    return Incident(
        name=kind,
        title=Text(kind, kind),
        how=Text("", ""),
        expected=tuple(expect(kind, level) for level in levels),
        caused_at=at(caused_s),
        over_at=at(caused_s),
        trace_id=None,
        from_cause=from_cause,
    )


def alert(number: int, kind: str, level: int, occurred_s: float, status: str = "accepted") -> Alert:
    """Make an alert that the notifier had 2 s after the fault and delivered at once."""
    sent = {
        channel: Sending("delivered", 1, at(occurred_s + 3), None) for channel in CHANNELS[level]
    }
    return Alert(
        alert_id=f"{number:08x}" * 4,
        rule=f"keyword_{kind}",
        kind=kind,
        level=level,
        service="ddcolor-service",
        status=status,
        occurred_at=at(occurred_s),
        received_at=at(occurred_s + 2),
        trace_id=None,
        sendings=sent if status == "accepted" else {},
    )


def messages(*alerts: Alert) -> list[Arrival]:
    """Make the messages about accepted alerts as their receivers got them, 3 s after the fault."""
    return [
        Arrival(channel, f"text … 编号 {item.reference}", item.occurred_at + timedelta(seconds=3))
        for item in alerts
        for channel in item.sendings
        if channel != "record"
    ]


OOM = incident("out_of_memory", 10, 2)
RECORD = FaultRecord("out_of_memory", 2, at(11).timestamp(), at(11.5).timestamp(), None)


def test_an_alert_on_every_channel_is_as_expected() -> None:
    """A level-2 fault whose two messages came has no problem, and its seconds from the record."""
    seen_alert = alert(1, "out_of_memory", 2, 11)
    seen = Seen([seen_alert], messages(seen_alert))
    (fault,), problems = judge([OOM], seen, [RECORD])

    assert not problems
    assert not fault.problems
    assert outstanding(OOM, seen) == []
    assert [(d.channel, d.seconds) for d in fault.alerts] == [("wecom", 3.0), ("dingtalk", 3.0)]
    assert fault.alerts[0].indexed_s == pytest.approx(0.5, abs=1e-5)
    assert fault.alerts[0].accepted_s == 2.0


def test_seconds_can_count_from_the_cause() -> None:
    """Of a killed process the seconds count from the kill, not from the supervisor's record."""
    killed = incident("service_down", 10, 3, from_cause=True)
    seen_alert = alert(1, "service_down", 3, 10.5)
    (fault,), _ = judge([killed], Seen([seen_alert], messages(seen_alert)), [])

    assert [d.seconds for d in fault.alerts] == [3.5] * 4
    assert fault.alerts[0].indexed_s is None


def test_a_recorded_alert_needs_no_message() -> None:
    """Level 1 counts as arrived once the notifier has recorded it."""
    slow = incident("inference_timeout", 10, 1)
    seen = Seen([alert(1, "inference_timeout", 1, 40)], [])
    (fault,), _ = judge([slow], seen, [])

    assert not fault.problems
    assert [d.channel for d in fault.alerts] == ["record"]


def test_held_back_alerts_of_the_same_error_are_counted() -> None:
    """The second and third failure join the first's message and are no problem."""
    three = incident("execution_error", 10, 2, 3)
    spoken = [alert(1, "execution_error", 2, 11), alert(2, "execution_error", 3, 13)]
    joined = [
        alert(3, "execution_error", 2, 12, "held_back"),
        alert(4, "execution_error", 2, 13, "held_back"),
    ]
    (fault,), problems = judge([three], Seen([*spoken, *joined], messages(*spoken)), [])

    assert fault.held_back == 2
    assert not fault.problems
    assert not problems
    assert len(fault.alerts) == 6


def test_alerts_of_a_fault_stand_in_the_order_of_the_plan() -> None:
    """Whichever of two rules speaks first, the facts read the same."""
    three = incident("execution_error", 10, 2, 3)
    loud_first = [alert(2, "execution_error", 3, 13), alert(1, "execution_error", 2, 11)]
    (fault,), _ = judge([three], Seen(loud_first, messages(*loud_first)), [])

    assert [delivery.level for delivery in fault.alerts] == [2, 2, 3, 3, 3, 3]


def test_each_alert_belongs_to_the_fault_that_was_caused_before_it() -> None:
    """Alerts are told apart by when they occurred, not by when they arrived."""
    first, second = incident("decode_failed", 10, 2), incident("out_of_memory", 20, 2)
    early, late = alert(1, "decode_failed", 2, 19.9), alert(2, "out_of_memory", 2, 20)
    faults, _ = judge([first, second], Seen([late, early], messages(early, late)), [])

    assert [len(fault.alerts) for fault in faults] == [2, 2]
    assert not any(fault.problems for fault in faults)


def test_an_alert_of_another_kind_is_unexpected() -> None:
    """A rule that fires without need is a problem that names the rule."""
    extra = alert(2, "output_damaged", 2, 12)
    spoken = alert(1, "out_of_memory", 2, 11)
    (fault,), _ = judge([OOM], Seen([spoken, extra], messages(spoken, extra)), [])

    (problem,) = fault.problems
    assert "keyword_output_damaged" in problem.en
    assert extra.reference in problem.zh


def test_an_alert_before_any_fault_is_unexpected() -> None:
    """A good photo must raise nothing."""
    early = alert(1, "execution_error", 2, 5)
    _, (problem,) = judge([OOM], Seen([early], []), [])

    assert problem.en.startswith("Unexpected alert: execution_error (level 2)")


def test_a_held_back_alert_that_joined_nothing_is_unexpected() -> None:
    """Silence without a message before it would be a lost alert."""
    lonely = alert(2, "decode_failed", 2, 12, "held_back")
    spoken = alert(1, "out_of_memory", 2, 11)
    (fault,), _ = judge([OOM], Seen([spoken, lonely], messages(spoken)), [])

    (problem,) = fault.problems
    assert problem.en.startswith("Unexpected alert: decode_failed (level 2)")
    assert lonely.reference in problem.en


def test_a_second_message_of_the_same_alert_is_a_problem() -> None:
    """Twice on one channel is one too many."""
    spoken = alert(1, "out_of_memory", 2, 11)
    twice = [*messages(spoken), messages(spoken)[0]]
    (fault,), _ = judge([OOM], Seen([spoken], twice), [])

    assert [p.en for p in fault.problems] == ["out_of_memory (level 2) arrived 2 times on WeCom"]


def test_the_same_error_that_speaks_twice_is_a_problem() -> None:
    """The five-minute window must have held the second alert back."""
    spoken = [alert(1, "out_of_memory", 2, 11), alert(2, "out_of_memory", 2, 12)]
    (fault,), _ = judge([OOM], Seen(spoken, messages(*spoken)), [])

    assert [p.en for p in fault.problems] == [
        "out_of_memory (level 2) spoke 2 times instead of once"
    ]


def test_a_channel_that_should_be_silent_is_a_problem() -> None:
    """A level-2 alert by SMS wakes somebody for nothing."""
    spoken = alert(1, "out_of_memory", 2, 11)
    stray = replace(messages(spoken)[0], channel="sms")
    (fault,), _ = judge([OOM], Seen([spoken], [*messages(spoken), stray]), [])

    assert [p.en for p in fault.problems] == ["out_of_memory (level 2) must not go to SMS"]


def test_a_message_of_no_alert_is_a_problem() -> None:
    """Whatever the receivers got must be explained by an alert."""
    spoken = alert(1, "out_of_memory", 2, 11)
    stray = Arrival("mail", "hello\nworld", at(12))
    _, (problem,) = judge([OOM], Seen([spoken], [*messages(spoken), stray]), [])

    assert problem.en == "Mail got a message of no alert: hello"


@pytest.mark.parametrize(
    ("alerts", "records", "hint"),
    [
        ([], [], "see the logs of parts service, agent and gateway"),
        ([], [RECORD], "see the log of part elastalert"),
        (
            [
                replace(
                    alert(1, "out_of_memory", 2, 11),
                    sendings={"wecom": Sending("dead", 4, None, "errcode 93000")},
                )
            ],
            [RECORD],
            "its delivery is dead after 4 tries: errcode 93000; see the log of part notifier",
        ),
    ],
)
def test_what_did_not_arrive_is_explained(
    alerts: list[Alert], records: list[FaultRecord], hint: str
) -> None:
    """The problem says how far the fault came and which log to read."""
    seen = Seen(alerts, [])
    (fault,), _ = judge([OOM], seen, records)

    assert [channel for _, channel in outstanding(OOM, seen)] == ["wecom", "dingtalk"]
    assert len(fault.problems) == 2
    assert hint in fault.problems[0].en
    assert "did not arrive on WeCom" in fault.problems[0].en
