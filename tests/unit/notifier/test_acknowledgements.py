"""Taking a fault on: what stops, what is counted, and what is remembered."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier import deliveries, history, outbox
from ddcolor_operations.notifier.acknowledgements import (
    Acknowledgement,
    acknowledge_alert,
    acknowledge_fault,
)
from ddcolor_operations.notifier.alert import AlertError
from ddcolor_operations.notifier.channels.base import Delivered
from ddcolor_operations.notifier.deliveries import Claim, Pace, RetryPolicy
from ddcolor_operations.notifier.episodes import end_quiet_episodes, escalate
from ddcolor_operations.notifier.occasions import Escalation
from ddcolor_operations.notifier.routing import EscalationPlan, Step
from ddcolor_operations.notifier.silences import Silence, add_silence
from tests.support.alerts import NOON, make_alert, open_outbox

NOW = NOON.timestamp()
WINDOW_S, QUIET_S = 300.0, 600.0
PLAN = EscalationPlan(
    level=3,
    steps=(Step(120, ("wecom", "sms"), {}), Step(180, ("mail",), {})),
    repeat=1,
)
ZHANG = Acknowledgement("zhang", "looking", "", "")


@pytest.fixture
def box(tmp_path: Path) -> sqlite3.Connection:
    return open_outbox(tmp_path)


def accept(box: sqlite3.Connection, number: int, at: float, **changes: Any) -> str:
    alert = make_alert(number, **{"level": 3, **changes})
    return outbox.accept(box, alert, ("wecom",), at, WINDOW_S, escalate_at=at + 120)


def take_on(box: sqlite3.Connection, number: int, at: float) -> list[Any]:
    return list(acknowledge_alert(box, make_alert(number).alert_id, ZHANG, at))


def calls(box: sqlite3.Connection, at: float, plan: EscalationPlan | None = PLAN) -> set[str]:
    """Escalate what is due; return the channels that call."""
    return escalate(box, at, lambda _: plan).channels


def test_an_acknowledgement_remembers_who_when_and_how_long_it_took(
    box: sqlite3.Connection,
) -> None:
    """The time counts from the first alert of the episode."""
    accept(box, 1, NOW)
    (one,) = take_on(box, 1, NOW + 95)

    assert (one.by, one.note, one.waited_s, one.already) == ("zhang", "looking", 95, False)
    (shown,) = history.find_alerts(box, make_alert(1).alert_id)
    assert shown["acknowledged"] == {
        "at": "2026-03-01T12:01:35.000000Z",
        "by": "zhang",
        "note": "looking",
        "waited_s": 95.0,
    }


def test_the_second_to_acknowledge_learns_who_was_first(box: sqlite3.Connection) -> None:
    """Nothing changes, and nobody's time is measured twice."""
    accept(box, 1, NOW)
    take_on(box, 1, NOW + 10)
    again = acknowledge_alert(
        box, make_alert(1).alert_id, Acknowledgement("li", "", "", ""), NOW + 50
    )

    assert [(one.by, one.waited_s, one.already) for one in again] == [("zhang", 10, True)]


def test_an_acknowledged_fault_repeats_itself_no_more(box: sqlite3.Connection) -> None:
    """Its further alerts are counted, and its end tells the number and the name."""
    accept(box, 1, NOW)
    take_on(box, 1, NOW + 10)

    assert [accept(box, n, NOW + n * 290) for n in range(2, 6)] == ["held_back"] * 4
    told = end_quiet_episodes(box, NOW + 5 * 290 + QUIET_S, QUIET_S)
    ((_, episode),) = told.ended
    assert (episode.total, episode.by) == (5, "zhang")


def test_after_the_end_the_same_fault_speaks_again(box: sqlite3.Connection) -> None:
    """An acknowledgement covers one episode, not the next one."""
    accept(box, 1, NOW)
    take_on(box, 1, NOW + 10)
    end_quiet_episodes(box, NOW + QUIET_S, QUIET_S)

    assert accept(box, 2, NOW + 700) == "accepted"


def test_a_louder_level_of_the_same_fault_still_speaks(box: sqlite3.Connection) -> None:
    """Three in a row are another matter than the first."""
    accept(box, 1, NOW, level=2)
    take_on(box, 1, NOW + 10)

    assert accept(box, 2, NOW + 20, level=3) == "accepted"


def test_an_alert_that_was_held_back_names_its_episode_too(box: sqlite3.Connection) -> None:
    """Any alert of the list can be acknowledged."""
    accept(box, 1, NOW)
    accept(box, 2, NOW + 5)

    (one,) = take_on(box, 2, NOW + 30)
    assert one.alert.alert_id == make_alert(1).alert_id


def test_an_alert_of_yesterday_does_not_take_on_the_fault_of_today(
    box: sqlite3.Connection,
) -> None:
    """Who answers an old message has not seen the new one."""
    accept(box, 1, NOW)
    end_quiet_episodes(box, NOW + QUIET_S, QUIET_S)
    accept(box, 2, NOW + 80_000)

    assert take_on(box, 1, NOW + 80_001) == []
    assert take_on(box, 99, NOW + 80_001) == []


def test_a_fault_is_acknowledged_by_its_name_in_every_level(box: sqlite3.Connection) -> None:
    """The louder one is told first."""
    accept(box, 1, NOW, level=2)
    accept(box, 2, NOW, level=3)
    accept(box, 3, NOW, level=3, service="other")

    given = Acknowledgement("zhang", "", "ddcolor-service", "out_of_memory")
    assert [one.alert.level for one in acknowledge_fault(box, given, NOW + 1)] == [3, 2]


def test_nobody_is_called_before_the_time_and_then_step_by_step(box: sqlite3.Connection) -> None:
    """Each step has its own channels, the last is repeated, then there is peace."""
    accept(box, 1, NOW)

    assert calls(box, NOW + 119) == set()
    assert calls(box, NOW + 120) == {"wecom", "sms"}
    assert calls(box, NOW + 121) == set()
    assert calls(box, NOW + 300) == {"mail"}
    assert calls(box, NOW + 480) == {"mail"}
    assert calls(box, NOW + 590) == set()
    rows = box.execute("SELECT channel, occasion FROM deliveries WHERE form = 1 ORDER BY seq")
    assert [row["channel"] for row in rows] == ["wecom", "sms", "mail", "mail"]


def test_an_acknowledgement_stops_the_calls_also_those_that_wait(box: sqlite3.Connection) -> None:
    """One that was not sent yet is not sent any more."""
    accept(box, 1, NOW)
    calls(box, NOW + 120)
    take_on(box, 1, NOW + 130)

    assert box.execute("SELECT count(*) FROM deliveries WHERE form = 1").fetchone()[0] == 0
    assert calls(box, NOW + 10_000) == set()


def test_a_call_that_waits_since_an_earlier_alert_of_the_episode_is_stopped_too(
    box: sqlite3.Connection,
) -> None:
    """A channel that is down does not call for what was taken on meanwhile."""
    accept(box, 1, NOW)
    calls(box, NOW + 120)
    accept(box, 2, NOW + 310)
    take_on(box, 2, NOW + 320)

    assert box.execute("SELECT count(*) FROM deliveries WHERE form = 1").fetchone()[0] == 0


def test_what_is_open_is_shown_with_its_next_call(box: sqlite3.Connection) -> None:
    """Until somebody takes it on, and no longer than it lasts."""
    accept(box, 1, NOW)
    calls(box, NOW + 120)
    (shown,) = history.list_open(box)
    assert (shown["calls"], shown["next_call_at"]) == (1, "2026-03-01T12:05:00.000000Z")

    take_on(box, 1, NOW + 130)
    (shown,) = history.list_open(box)
    assert (shown["next_call_at"], shown["acknowledged"]["by"]) == (None, "zhang")
    end_quiet_episodes(box, NOW + QUIET_S, QUIET_S)
    assert history.list_open(box) == []


def test_a_call_tells_since_when_and_how_often(box: sqlite3.Connection) -> None:
    """The delivery carries the episode's facts."""
    accept(box, 1, NOW)
    accept(box, 2, NOW + 60)
    calls(box, NOW + 120)

    claim = deliveries.claim(box, "sms", Pace(None), NOW + 121)
    assert isinstance(claim, Claim)
    assert claim.items[0].occasion == Escalation(step=1, since=NOW, total=2)
    deliveries.settle(box, claim, Delivered(), NOW + 121, RetryPolicy())


def test_a_fault_that_speaks_again_does_not_start_the_steps_anew(box: sqlite3.Connection) -> None:
    """The clock of the escalation is the episode's."""
    accept(box, 1, NOW)
    calls(box, NOW + 120)
    accept(box, 2, NOW + 310)

    assert calls(box, NOW + 311) == {"mail"}


def test_a_fault_that_is_over_calls_nobody(box: sqlite3.Connection) -> None:
    """Its end was said instead."""
    accept(box, 1, NOW)
    end_quiet_episodes(box, NOW + QUIET_S, QUIET_S)

    assert calls(box, NOW + QUIET_S) == set()


def test_who_was_called_hears_of_the_end(box: sqlite3.Connection) -> None:
    """Those who were woken may sleep on."""
    accept(box, 1, NOW)
    calls(box, NOW + 120)
    accept(box, 2, NOW + 310)

    assert end_quiet_episodes(box, NOW + 910, QUIET_S).channels == {"wecom", "sms"}


def test_planned_work_calls_nobody(box: sqlite3.Connection) -> None:
    """A silence that began after the alert holds for the escalation too, until it ends."""
    accept(box, 1, NOW)
    add_silence(box, Silence("*", "*", "*", 60, "restart"), NOW + 100)

    assert calls(box, NOW + 120) == set()
    assert calls(box, NOW + 240) == {"wecom", "sms"}


def test_the_quiet_hours_hold_calls_that_are_not_critical(box: sqlite3.Connection) -> None:
    """Level 2 waits for their end, level 3 does not."""
    morning = NOW + 500
    accept(box, 1, NOW, level=2)
    accept(box, 2, NOW, level=3)

    told = escalate(box, NOW + 120, lambda _: PLAN, not_before=morning)
    assert [alert.level for alert, _ in told.escalated] == [3]
    assert calls(box, morning - 1, None) == set()
    later = escalate(box, morning, lambda a: PLAN if a.level == 2 else None)
    assert [alert.level for alert, _ in later.escalated] == [2]


def test_a_plan_that_was_taken_out_of_the_configuration_calls_nobody(
    box: sqlite3.Connection,
) -> None:
    """The steps are those of today's configuration."""
    accept(box, 1, NOW)

    assert calls(box, NOW + 120, plan=None) == set()


@pytest.mark.parametrize(
    ("body", "of_alert", "error"),
    [
        ("x", True, "one JSON object"),
        ({"who": "zhang"}, True, "who: unknown field"),
        ({"by": 7}, True, "by: "),
        ({"by": "x" * 65}, True, "by: "),
        ({"by": "zhang", "service": "s"}, False, "service: name the service and the kind"),
        ({"by": "zhang", "service": "s", "kind": "k"}, True, "kind: unknown field"),
    ],
)
def test_a_wrong_acknowledgement_is_refused_with_the_field(
    body: object, of_alert: bool, error: str
) -> None:
    """The error says what to send."""
    with pytest.raises(AlertError, match=error):
        Acknowledgement.from_json(body, of_alert=of_alert)
