"""The notifier in process: what it logs, and how it lives with failing channels."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from comfyui_telemetry import configure, semconv
from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.receivers import Failure
from tests.support.alerts import alert_json
from tests.support.notifiers import QUICK, run, settled, until
from tests.support.places import CANARIES, Places, places
from tests.support.silent import SilentLogger


@pytest.fixture
async def all_places(tmp_path: Path) -> AsyncIterator[Places]:
    with places(tmp_path) as running:
        yield running


async def test_no_log_message_holds_a_keyword_of_the_catalogue(
    all_places: Places, tmp_path: Path
) -> None:
    """A keyword rule that reads the notifier's log never fires on an alert of its own.

    Every kind of fault goes through acceptance, hold-back, retry, delivery and death.
    """
    log_file = tmp_path / "notifier.jsonl"
    telemetry = configure(
        service_name="ddcolor-notifier",
        log_file=log_file,
        log_stdout=False,
        traces=False,
        metrics=False,
    )
    notifier = await run(all_places, telemetry.logger("notifier"), **QUICK)
    all_places.wecom.fail(Failure.status(500), times=3)
    all_places.dingtalk.fail(Failure.code(460101, CATALOGUE["out_of_memory"].keyword), times=3)
    for number, kind in enumerate(CATALOGUE.values()):
        for copy in range(2):
            summary = f"{kind.keyword}: node DDColor_Colorize (2): {kind.keyword}"
            body = alert_json(2 * number + copy, kind=kind.name, level=3, summary=summary)
            await notifier.take(Alert.from_json(body))
    await settled(notifier)
    await notifier.stop()
    telemetry.shutdown()

    records = [json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines()]
    events = {record.get("event.name") for record in records}
    assert events >= {
        semconv.EVENT_ALERT_ACCEPTED,
        semconv.EVENT_ALERT_HELD_BACK,
        semconv.EVENT_ALERT_DELIVERED,
        semconv.EVENT_ALERT_FAILED,
    }
    for record in records:
        for kind in CATALOGUE.values():
            assert kind.keyword.lower() not in record["message"].lower()
        assert semconv.ERROR_KIND not in record


async def test_every_attribute_that_is_logged_is_declared(all_places: Places) -> None:
    """Names and value types are those of the semantic conventions."""
    logger = SilentLogger()
    notifier = await run(all_places, logger, **QUICK)
    all_places.wecom.fail(Failure.status(500))
    all_places.dingtalk.fail(Failure.code(460101))
    for body in (alert_json(1, level=3), alert_json(2, level=3), alert_json(3, level=1)):
        await notifier.take(Alert.from_json(body))
    await settled(notifier)
    await notifier.stop()

    types = {"string": str, "int": int, "double": float}
    assert {fields.get("event_name") for _, _, fields in logger.records} >= {
        semconv.EVENT_ALERT_ACCEPTED,
        semconv.EVENT_ALERT_FAILED,
    }
    for _, _, fields in logger.records:
        for name, value in fields.items():
            if name != "event_name":
                assert isinstance(value, types[semconv.ATTRIBUTES[name].type]), name
        assert fields.get("event_name") in {None, *semconv.EVENTS}


async def test_robots_that_fail_in_every_way_get_each_message_once_when_they_are_well(
    all_places: Places,
) -> None:
    """HTTP 500, errcodes, time-outs and hang-ups delay a message and do not double it."""
    for robot, codes in ((all_places.wecom, (93000, -1)), (all_places.dingtalk, (310000, 300005))):
        robot.fail(Failure.status(500), times=2)
        for code in codes:
            robot.fail(Failure.code(code))
        robot.fail(Failure.silence())
        robot.fail(Failure.hang_up())
    notifier = await run(all_places, SilentLogger(), timeout_s=2.0, **QUICK)
    await notifier.take(Alert.from_json(alert_json()))

    (alert,) = await settled(notifier)
    await notifier.stop()

    assert [(d["status"], d["attempts"]) for d in alert["deliveries"]] == [("delivered", 7)] * 2
    for robot in (all_places.wecom, all_places.dingtalk):
        (message,) = robot.received
        # The try before was of unknown fate, and the message says so.
        assert "可能重复" in message.text


async def test_a_channel_that_is_down_delays_no_other(all_places: Places) -> None:
    """DingTalk has its message while WeCom is silent."""
    all_places.wecom.fail(Failure.silence(), times=5)
    notifier = await run(all_places, SilentLogger(), timeout_s=0.5, **QUICK)
    await notifier.take(Alert.from_json(alert_json()))

    await asyncio.to_thread(all_places.dingtalk.wait_for, 1)
    assert all_places.wecom.received == []

    await settled(notifier)
    await notifier.stop()
    assert len(all_places.wecom.received) == 1


async def test_a_storm_never_trips_the_robots_rate_and_loses_nothing(all_places: Places) -> None:
    """Three hundred different faults arrive as few messages whose numbers add up."""
    notifier = await run(all_places, SilentLogger(), **QUICK)
    alerts = [Alert.from_json(alert_json(n, service=f"s{n}")) for n in range(300)]
    await asyncio.gather(*(notifier.take(alert) for alert in alerts))

    shown = await settled(notifier)
    await notifier.stop()

    assert len(shown) == 300
    for robot in (all_places.wecom, all_places.dingtalk):
        assert robot.requests == len(robot.received) <= 20
        total = 0
        for message in robot.received:
            first = message.text.splitlines()[0]
            total += int(first.split("汇总：")[1].split(" ")[0]) if "汇总" in first else 1
        assert total == 300


async def test_a_dead_letter_is_logged_as_an_error_and_can_be_revived(
    all_places: Places,
) -> None:
    """After the age limit the delivery is dead; a retry by hand delivers it."""
    logger = SilentLogger()
    settings = QUICK | {"retry": {"first_s": 0.01, "cap_s": 0.01, "give_up_after_s": 0}}
    notifier = await run(all_places, logger, **settings)
    all_places.wecom.fail(Failure.status(500))
    await notifier.take(Alert.from_json(alert_json()))
    (alert,) = await settled(notifier)
    assert [d["status"] for d in alert["deliveries"]] == ["dead", "delivered"]
    assert [message for level, message, _ in logger.records if level == "error"] == [
        "Alert not delivered to wecom, given up"
    ]

    assert await notifier.retry(None, None) == 1
    await until(lambda: len(all_places.wecom.received) == 1)
    (alert,) = await settled(notifier)
    await notifier.stop()
    assert [d["status"] for d in alert["deliveries"]] == ["delivered", "delivered"]


async def test_an_answer_that_cannot_be_written_is_not_sent_again(all_places: Places) -> None:
    """While the disk refuses, a delivered message waits for its mark; it does not go twice."""
    notifier = await run(all_places, SilentLogger(), **QUICK)
    failing = {"left": 3}

    def deny(action: int, table: str | None, *_: object) -> int:
        # Ending an attempt is the write that follows a message.
        if action == sqlite3.SQLITE_UPDATE and table == "attempts" and failing["left"]:
            failing["left"] -= 1
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    await asyncio.wrap_future(notifier.database.submit(lambda c: c.set_authorizer(deny)))
    await notifier.take(Alert.from_json(alert_json()))
    (alert,) = await settled(notifier)
    await notifier.stop()

    assert failing["left"] == 0
    assert [d["status"] for d in alert["deliveries"]] == ["delivered", "delivered"]
    assert len(all_places.wecom.received) == len(all_places.dingtalk.received) == 1


async def test_a_fault_that_has_gone_quiet_is_said_to_be_over(all_places: Places) -> None:
    """The running notifier notices by itself, and the places that had the alert hear of it."""
    logger = SilentLogger()
    settings = QUICK | {"deduplicate": {"window_s": 0.2}, "quiet_s": 0.3}
    notifier = await run(all_places, logger, **settings)
    await notifier.take(Alert.from_json(alert_json(1, level=3)))

    for place in all_places.all:
        _, over = await asyncio.to_thread(place.wait_for, 2)
        assert "已平息" in over.text
    await notifier.stop()
    assert "End of an episode delivered to wecom" in [message for _, message, _ in logger.records]


async def test_a_broken_template_does_not_stop_the_alert(
    all_places: Places, tmp_path: Path
) -> None:
    """The plain message is sent, and the log names the template."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "alert.wecom.j2").write_text("{{ v.misspelt }}", encoding="utf-8")
    logger = SilentLogger()
    notifier = await run(all_places, logger, templates_dir="templates", **QUICK)
    await notifier.take(Alert.from_json(alert_json()))
    await settled(notifier)
    await notifier.stop()

    (message,) = all_places.wecom.received
    assert message.text == "［警告］ 显存或内存不足 · ddcolor-service"
    troubles = [fields for level, _, fields in logger.records if level == "error"]
    assert "alert.wecom.j2" in troubles[0][semconv.ERROR_MESSAGE]


async def test_a_row_that_cannot_be_read_does_not_end_the_worker(all_places: Places) -> None:
    """It is logged, and once it is gone the next alert is delivered."""
    logger = SilentLogger()
    notifier = await run(all_places, logger, **QUICK)

    async def execute(sql: str) -> None:
        await asyncio.wrap_future(notifier.database.submit(lambda c: c.execute(sql)))

    all_places.wecom.fail(Failure.status(500))
    await notifier.take(Alert.from_json(alert_json(1)))
    await execute("UPDATE alerts SET body = '{}'")
    await until(lambda: any("could not be worked on" in m for _, m, _ in logger.records))
    await execute("DELETE FROM alerts")
    await notifier.take(Alert.from_json(alert_json(2)))
    await until(lambda: len(all_places.wecom.received) == 1)
    await notifier.stop()


async def test_no_log_record_holds_a_secret(all_places: Places, tmp_path: Path) -> None:
    """Over every kind of failure, neither key nor token nor number is in the log."""
    log_file = tmp_path / "notifier.jsonl"
    telemetry = configure(
        service_name="ddcolor-notifier",
        log_file=log_file,
        log_stdout=False,
        traces=False,
        metrics=False,
    )
    notifier = await run(all_places, telemetry.logger("notifier"), timeout_s=0.2, **QUICK)
    for place in all_places.all:
        for failure in (Failure.status(500), Failure.hang_up(), Failure.silence()):
            place.fail(failure)
    await notifier.take(Alert.from_json(alert_json(level=3)))
    await settled(notifier)
    await notifier.stop()
    telemetry.shutdown()

    text = log_file.read_text(encoding="utf-8")
    assert "ddcolor.alert.failed" in text
    assert not [canary for canary in (*CANARIES, "13800000000") if canary in text]
