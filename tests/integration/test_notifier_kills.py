"""Channels that know a message by its id, and a notifier that is killed at bad moments."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.alerts import alert_json
from tests.support.more_places import MORE_CANARIES, MorePlaces, more_places
from tests.support.notifier_process import NotifierProcess, free_port

NAMES = ("webhook", "heal", "alertmanager")


@pytest.fixture
def places(tmp_path: Path) -> Iterator[MorePlaces]:
    with more_places(tmp_path) as running:
        yield running


@pytest.fixture
def notifier(places: MorePlaces) -> Iterator[NotifierProcess]:
    config = places.folder / "notifier.yaml"
    channels = {name: places.settings(name) for name in NAMES}
    channels["webhook"]["per_minute"] = 6000
    settings = {
        "data_dir": "data",
        "log_file": "notifier.jsonl",
        "channels": channels,
        "retry": {"first_s": 0.05, "cap_s": 0.2},
        "digest": {"from": 500},
        "routing": {"levels": {"3": list(NAMES)}},
    }
    config.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    process = NotifierProcess(config, free_port())
    process.start()
    yield process
    process.kill()


def test_through_kills_each_alert_is_taken_exactly_once(
    notifier: NotifierProcess, places: MorePlaces
) -> None:
    """What a kill makes the notifier send again, the other side knows by its id."""
    count = 60
    bodies = (alert_json(number, level=3, service=f"s{number}") for number in range(count))
    notifier.post_through_kills(bodies, kills=4, seed=11)

    alerts = notifier.settled()
    ids = {alert_json(number)["alert_id"] for number in range(count)}
    assert {alert["alert_id"] for alert in alerts} == ids
    for alert in alerts:
        assert {d["channel"]: d["status"] for d in alert["deliveries"]} == dict.fromkeys(
            NAMES, "delivered"
        )
    healed = Counter(message.text for message in places.receivers["heal"].received)
    hooked = Counter(m.details["body"]["id"] for m in places.receivers["webhook"].received)
    assert healed == hooked == dict.fromkeys(ids, 1)
    # Alertmanager knows an alert by its labels: the same one twice is one.
    assert {message.text for message in places.receivers["alertmanager"].received} == ids
    text = (places.folder / "notifier.jsonl").read_text(encoding="utf-8")
    assert not [canary for canary in MORE_CANARIES if canary in text]
