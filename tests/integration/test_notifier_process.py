"""The notifier as its own process: real HTTP, SMTP and SQLite, kill -9 at bad moments."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ddcolor_operations.receivers import Failure, Receiver
from tests.support.alerts import alert_json
from tests.support.notifier_process import NotifierProcess, free_port
from tests.support.places import CANARIES, Places, places

QUICK = {"first_s": 0.05, "cap_s": 0.2, "give_up_after_s": 3600}
ALL = ("wecom", "dingtalk", "sms", "mail")


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    # The rates have tests of their own; here they would only make a minute's wait.
    with places(tmp_path, per_minute=6000) as running:
        yield running


@pytest.fixture
def notifier(all_places: Places) -> Iterator[NotifierProcess]:
    config = all_places.config(
        timeout_s=1.0, retry=QUICK, log_file="notifier.jsonl", digest={"from": 500}
    )
    process = NotifierProcess(config, free_port())
    process.start()
    yield process
    process.kill()


def statuses(alert: dict[str, object]) -> dict[str, str]:
    deliveries = alert["deliveries"]
    assert isinstance(deliveries, list)
    return {delivery["channel"]: delivery["status"] for delivery in deliveries}


def test_an_alert_that_was_answered_survives_kill_9_and_is_delivered_once(
    notifier: NotifierProcess, all_places: Places
) -> None:
    """Killed while every robot keeps silent, then started with robots that are well."""
    for place in all_places.all:
        place.fail(Failure.silence(), times=1000)
    for number in range(3):
        notifier.post(alert_json(number, level=3, service=f"s{number}"))
    for place in all_places.all:
        place.wait_for_requests(1)
    notifier.kill()
    for place in all_places.all:
        place.behave()

    notifier.start()
    alerts = notifier.settled()

    assert [statuses(alert) for alert in alerts] == [dict.fromkeys(ALL, "delivered")] * 3
    for place in all_places.all:
        text = "\n".join(message.text for message in place.received)
        for number in range(3):
            assert text.count(alert_json(number)["alert_id"][:8]) == 1


def test_a_message_whose_answer_was_lost_in_the_kill_says_that_it_may_be_a_repeat(
    notifier: NotifierProcess, all_places: Places
) -> None:
    """The one case that cannot be told apart is told to the reader."""
    all_places.wecom.fail(Failure.swallow())
    all_places.wecom.fail(Failure.silence(), times=100)
    notifier.post(alert_json())
    all_places.wecom.wait_for_requests(2)
    notifier.kill()
    all_places.wecom.behave()

    notifier.start()
    notifier.settled()

    first, second = all_places.wecom.received
    assert "可能重复" not in first.text
    assert "可能重复" in second.text
    assert len(all_places.dingtalk.received) == 1


def test_kill_9_at_random_moments_loses_no_alert_and_doubles_none_unmarked(
    notifier: NotifierProcess, all_places: Places
) -> None:
    """Alerts stream in while the process dies again and again.

    Each alert reaches each channel; a second copy exists only for the message that was under way
    at a kill, at most one for each kill and channel, and it says that it may be a repeat.
    """
    count, kills = 120, 6
    bodies = (alert_json(number, level=3, service=f"s{number}") for number in range(count))
    notifier.post_through_kills(bodies, kills=kills, seed=7)

    alerts = notifier.settled()
    assert [a["alert_id"] for a in alerts] == [alert_json(n)["alert_id"] for n in range(count)]
    for alert in alerts:
        assert statuses(alert) == dict.fromkeys(ALL, "delivered")
    # A mail's id is its alert's. The gateway drops a repeated id by itself.
    ids = Counter(message.details["message_id"] for message in all_places.mail.received)
    assert len(ids) == count
    assert len({message.details["id"] for message in all_places.sms.received}) == count
    repeats = [m for m in all_places.mail.received if "可能重复" in m.text]
    assert sum(ids.values()) - count <= len(repeats) <= kills
    for robot in (all_places.wecom, all_places.dingtalk):
        copies = [robot_copies(robot, alert["alert_id"]) for alert in alerts]
        assert min(copies) == 1
        marked = sum("可能重复" in message.text for message in robot.received)
        assert sum(copies) - count <= marked <= kills


def robot_copies(robot: Receiver, alert_id: str) -> int:
    """Return how many of the robot's messages carry the alert's reference."""
    return sum(f"编号 {alert_id[:8]}" in message.text for message in robot.received)


def test_robots_that_were_ill_get_every_message_once(
    notifier: NotifierProcess, all_places: Places
) -> None:
    """HTTP 500, errcodes, hang-ups and silence first, then well: one message each."""
    for robot, codes in ((all_places.wecom, (-1, 93000)), (all_places.dingtalk, (-1, 310000))):
        for _ in range(2):
            robot.fail(Failure.status(500))
            robot.fail(Failure.hang_up())
            for code in codes:
                robot.fail(Failure.code(code))
        robot.fail(Failure.silence())
    for number in range(3):
        notifier.post(alert_json(number, service=f"s{number}"))

    alerts = notifier.settled()

    assert all(set(statuses(alert).values()) == {"delivered"} for alert in alerts)
    for robot in (all_places.wecom, all_places.dingtalk):
        text = "\n".join(message.text for message in robot.received)
        for number in range(3):
            assert text.count(alert_json(number)["alert_id"][:8]) == 1


def test_a_block_survives_a_restart(notifier: NotifierProcess, all_places: Places) -> None:
    """A restart does not make the notifier hammer a robot that blocked it."""
    all_places.dingtalk.fail(Failure.code(130101))
    notifier.post(alert_json())
    all_places.wecom.wait_for(1)
    all_places.dingtalk.wait_for_requests(1)
    while not requests.get(f"{notifier.url}/healthz", timeout=5).json()["channels"]["dingtalk"][
        "blocked_until"
    ]:
        time.sleep(0.02)
    notifier.kill()

    notifier.start()
    notifier.post(alert_json(2, service="other"))
    all_places.wecom.wait_for(2)

    health = requests.get(f"{notifier.url}/healthz", timeout=5).json()
    assert health["status"] == "degraded"
    assert health["channels"]["dingtalk"]["pending"] == 2
    assert all_places.dingtalk.requests == 1


def test_sigterm_ends_in_good_order(notifier: NotifierProcess, all_places: Places) -> None:
    """The message under way is finished, the exit status is 0, the log says so."""
    notifier.post(alert_json())
    all_places.wecom.wait_for_requests(1)

    assert notifier.stop() == 0

    log = (all_places.folder / "notifier.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in log.splitlines()]
    assert records[-1]["message"] == "Notifier stopped"
    assert {record["service.name"] for record in records} == {"ddcolor-notifier"}


def test_no_secret_is_in_the_outbox_the_log_or_the_output(
    notifier: NotifierProcess, all_places: Places
) -> None:
    """After failures of every kind, a grep over all files finds no key, token or secret."""
    for place in all_places.all:
        place.fail(Failure.status(451))
        place.fail(Failure.hang_up())
        place.fail(Failure.silence())
    notifier.post(alert_json(level=3))
    notifier.settled()
    notifier.stop()

    searched = [
        notifier.output,
        all_places.folder / "notifier.jsonl",
        *(all_places.folder / "data").iterdir(),
    ]
    for path in searched:
        data = path.read_bytes()
        assert not [canary for canary in CANARIES if canary.encode() in data], path
    with sqlite3.connect(all_places.folder / "data" / "outbox.sqlite3") as outbox:
        (errors,) = outbox.execute("SELECT count(*) FROM deliveries WHERE attempts > 1").fetchone()
    outbox.close()
    assert errors == 4


def test_sighup_reads_the_configuration_again_and_a_broken_one_changes_nothing(
    notifier: NotifierProcess, all_places: Places
) -> None:
    """What is not usable is named in the log, and the old one stays; then the new one holds."""
    log_file = all_places.folder / "notifier.jsonl"
    config = all_places.folder / "notifier.yaml"
    good = config.read_text(encoding="utf-8")

    def reread(text: str, message: str) -> None:
        config.write_text(text, encoding="utf-8")
        notifier.signal(signal.SIGHUP)
        while message not in log_file.read_text(encoding="utf-8"):
            time.sleep(0.02)

    reread("languag: en\n", "The configuration is not usable, the old one stays")
    notifier.post(alert_json(1))
    all_places.wecom.wait_for(1)
    reread(f"language: en\n{good}", "Configuration read again")
    notifier.post(alert_json(2, service="other"))
    all_places.wecom.wait_for(2)

    first, second = (message.text for message in all_places.wecom.received)
    assert "警告" in first
    assert "Warning" in second
    assert "notifier.yaml:1: languag: unknown setting" in log_file.read_text(encoding="utf-8")


def run_main(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ddcolor_operations.notifier", "--config", str(config), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_notifier_on_the_same_outbox_is_refused(
    notifier: NotifierProcess, all_places: Places
) -> None:
    """One line says why, and the first goes on."""
    second = run_main(all_places.folder / "notifier.yaml")

    assert second.returncode == 2
    assert "in use by another notifier" in second.stderr
    assert notifier.post(alert_json())["status"] == "accepted"


def test_check_names_what_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    """No traceback, exit status 2, and 0 for a good file."""
    config = tmp_path / "n.yaml"
    config.write_text("languag: zh", encoding="utf-8")
    wrong = run_main(config, "--check")
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (2, False)
    assert "languag: unknown setting: did you mean 'language'?" in wrong.stderr

    config.write_text("language: en", encoding="utf-8")
    assert run_main(config, "--check").returncode == 0


def test_an_outbox_that_fails_at_the_start_is_named(tmp_path: Path) -> None:
    """No traceback, and where to look."""
    config, data = tmp_path / "n.yaml", tmp_path / "data"
    config.write_text("data_dir: data", encoding="utf-8")
    data.mkdir()
    with sqlite3.connect(data / "outbox.sqlite3") as outbox:
        outbox.execute("PRAGMA user_version = 3")
    outbox.close()

    ended = run_main(config)

    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert "the outbox cannot be written: no such table: deliveries: check" in ended.stderr
