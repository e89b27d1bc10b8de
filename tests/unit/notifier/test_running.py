"""The notifier in process: what time brings, what people decide, what is read again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from comfyui_telemetry import semconv
from ddcolor_operations.notifier import paths
from ddcolor_operations.notifier.acknowledgements import Acknowledgement
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.paths import Beat
from ddcolor_operations.receivers import Failure
from tests.support.alerts import alert_json
from tests.support.more_places import more_places
from tests.support.notifiers import QUICK, run, settled
from tests.support.places import Places, places
from tests.support.silent import SilentLogger


@pytest.fixture
async def all_places(tmp_path: Path) -> AsyncIterator[Places]:
    with places(tmp_path) as running:
        yield running


def heartbeat(path: str = "elasticsearch") -> Beat:
    return Beat(path, "ddcolor-service", datetime.now(UTC))


def quiet_now() -> dict[str, str]:
    """Return quiet hours that hold now, whenever the test runs."""
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=1), now + timedelta(hours=2)
    return {"from": f"{start:%H:%M}", "to": f"{end:%H:%M}", "timezone": "UTC"}


async def test_a_path_that_falls_silent_is_said_and_its_return_too(all_places: Places) -> None:
    """The running notifier speaks by itself, and the next heartbeat is the end of it."""
    logger = SilentLogger()
    settings = QUICK | {"heartbeats": {"silent_after_s": 0.4}}
    notifier = await run(all_places, logger, **settings)
    await notifier.beat(heartbeat())

    for place in all_places.all:
        (said,) = await asyncio.to_thread(place.wait_for, 1)
        assert "告警链路无心跳" in said.text
    await notifier.beat(heartbeat())
    for place in all_places.all:
        _, over = await asyncio.to_thread(place.wait_for, 2)
        assert "已恢复" in over.text
    await notifier.stop()

    events = [fields.get("event_name") for _, _, fields in logger.records]
    assert events.count(semconv.EVENT_ALERT_RESOLVED) == 1


async def test_a_silence_that_was_told_is_not_told_again_by_the_next_process(
    all_places: Places,
) -> None:
    """What was said is on disk, and so is what it was said of."""
    settings = QUICK | {"heartbeats": {"silent_after_s": 0.2}}
    first = await run(all_places, SilentLogger(), **settings)
    await first.beat(heartbeat())
    await asyncio.to_thread(all_places.mail.wait_for, 1)
    await settled(first)
    await first.stop()

    second = await run(all_places, SilentLogger(), **settings)
    # A second path that falls silent shows that the time for the first has passed as well.
    await second.beat(heartbeat("watcher"))
    await asyncio.to_thread(all_places.mail.wait_for, 2)
    await second.beat(heartbeat())
    await asyncio.to_thread(all_places.mail.wait_for, 3)
    await second.stop()

    watcher, over = (message.text for message in all_places.mail.received[1:])
    assert "watcher" in watcher
    assert "已恢复" in over


async def test_what_goes_wrong_once_does_not_end_the_watch(
    all_places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead man's switch outlives its own faults, and the log names them."""
    looks = iter([ValueError("odd")])

    def silent_paths(*arguments: Any) -> list[paths.Silent]:
        for error in looks:
            raise error
        return real(*arguments)

    real = paths.silent_paths
    monkeypatch.setattr(paths, "silent_paths", silent_paths)
    logger = SilentLogger()
    notifier = await run(all_places, logger, **QUICK | {"heartbeats": {"silent_after_s": 0.2}})
    await notifier.beat(heartbeat())

    await asyncio.to_thread(all_places.mail.wait_for, 1)
    await notifier.stop()
    assert "ValueError" in {fields.get(semconv.ERROR_MESSAGE) for _, _, fields in logger.records}


async def test_a_fault_that_nobody_acknowledges_calls_the_next(all_places: Places) -> None:
    """By their channel, with their name; after the acknowledgement nobody else is called."""
    logger = SilentLogger()
    steps = [
        {"after_s": 1, "channels": ["dingtalk"], "mention": {"dingtalk": {"users": ["lead"]}}},
        {"after_s": 1, "channels": ["sms"]},
    ]
    settings = QUICK | {
        "quiet_s": 500,
        "heartbeats": {"silent_after_s": 0.4},
        "deduplicate": {"window_s": 100},
        "routing": {"levels": {"3": ["wecom"]}, "escalation": {"steps": steps}},
    }
    notifier = await run(all_places, logger, **settings)
    await notifier.take(Alert.from_json(alert_json(1, level=3)))

    (call,) = await asyncio.to_thread(all_places.dingtalk.wait_for, 1)
    assert "无人确认" in call.text
    assert call.details["at"]["atUserIds"] == ["lead"]
    (taken,) = await notifier.acknowledge(
        alert_json(1)["alert_id"], Acknowledgement("zhang", "", "", "")
    )
    await settled(notifier)
    await notifier.stop()

    assert not taken.already
    assert len(all_places.wecom.received) == 1
    assert all_places.sms.requests == 0
    by_event = {fields.get("event_name"): fields for _, _, fields in logger.records}
    assert by_event[semconv.EVENT_ALERT_ESCALATED][semconv.ALERT_ESCALATION] == 1
    acknowledged = by_event[semconv.EVENT_ALERT_ACKNOWLEDGED]
    assert acknowledged[semconv.ALERT_TIME_TO_ACK] == taken.waited_s >= 1
    assert acknowledged[semconv.ALERT_ACKNOWLEDGED_BY] == "zhang"


async def test_a_delivery_says_how_long_it_took_from_the_fault(all_places: Places) -> None:
    """The figure that dashboards draw."""
    logger = SilentLogger()
    notifier = await run(all_places, logger, **QUICK)
    occurred_at = (datetime.now(UTC) - timedelta(seconds=100)).isoformat()
    await notifier.take(Alert.from_json(alert_json(occurred_at=occurred_at)))
    await settled(notifier)
    await notifier.stop()

    waited = [
        fields[semconv.ALERT_TIME_TO_DELIVER]
        for _, _, fields in logger.records
        if fields.get("event_name") == semconv.EVENT_ALERT_DELIVERED
    ]
    assert len(waited) == 2
    assert min(waited) >= 100


async def test_what_is_not_urgent_waits_for_the_morning_and_critical_does_not(
    all_places: Places,
) -> None:
    """In the quiet hours only level 3 speaks; the rest is pending until they end."""
    routing = {"quiet_hours": quiet_now()}
    notifier = await run(all_places, SilentLogger(), **QUICK, routing=routing)
    await notifier.take(Alert.from_json(alert_json(1, level=2)))
    await notifier.take(Alert.from_json(alert_json(2, level=3)))
    await asyncio.to_thread(all_places.mail.wait_for, 1)
    await asyncio.to_thread(all_places.wecom.wait_for, 1)
    await notifier.stop()

    assert [m.title.count("严重") for m in all_places.wecom.received] == [1]


async def test_the_healer_does_not_sleep(all_places: Places, tmp_path: Path) -> None:
    """What is not urgent for people is mended in the quiet hours all the same."""
    with more_places(tmp_path) as more:
        channels = {"heal": more.settings("heal")}
        routing = {"quiet_hours": quiet_now()}
        notifier = await run(all_places, SilentLogger(), channels=channels, routing=routing)
        await notifier.take(Alert.from_json(alert_json(1, level=2)))
        (asked,) = await asyncio.to_thread(more.receivers["heal"].wait_for, 1)
        await notifier.stop()

    assert asked.text == alert_json(1)["alert_id"]


async def test_old_faults_are_mended_again_only_by_name(all_places: Places, tmp_path: Path) -> None:
    """Who tries everything again restarts no service that is well."""
    with more_places(tmp_path) as more:
        more.receivers["heal"].fail(Failure.status(413))
        notifier = await run(all_places, SilentLogger(), channels={"heal": more.settings("heal")})
        await notifier.take(Alert.from_json(alert_json(1)))
        await settled(notifier)

        assert await notifier.retry(None, None) == 0
        assert await notifier.retry(None, "heal") == 1
        await asyncio.to_thread(more.receivers["heal"].wait_for, 1)
        await notifier.stop()


async def test_a_configuration_that_is_read_again_holds_from_the_next_message(
    all_places: Places,
) -> None:
    """Language, routing, a channel less and a channel more; what waits is delivered by it."""
    notifier = await run(all_places, SilentLogger(), **QUICK)
    await notifier.take(Alert.from_json(alert_json(1)))
    await settled(notifier)

    levels = {"levels": {"2": ["dingtalk"]}}
    notifier.reload(load_config(all_places.config(language="en", routing=levels, **QUICK), {}))
    await notifier.take(Alert.from_json(alert_json(2, service="other")))
    await settled(notifier)

    without = load_config(all_places.config(**QUICK), {})
    notifier.reload(replace(without, channels={"wecom": without.channels["wecom"]}))
    assert notifier.channel_names == ("wecom",)
    notifier.reload(without)
    await notifier.take(Alert.from_json(alert_json(3, service="third")))
    await settled(notifier)
    await notifier.stop()

    assert [len(place.received) for place in all_places.all] == [2, 3, 0, 0]
    assert "Warning" in all_places.dingtalk.received[1].text
    assert "警告" in all_places.dingtalk.received[2].text
