"""The watchdog: when it speaks, to whom, how often, and what it remembers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier.channels.wecom import WeCom
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.receivers import Failure
from ddcolor_operations.watchdog.state import State, load_state, save_state
from ddcolor_operations.watchdog.watch import Watchdog, answers
from tests.support.places import CANARIES, Places, places
from tests.support.scripted_http import scripted_server
from tests.support.silent import SilentLogger

NOW = 1_800_000_000.0


class Dog:
    """A watchdog with a notifier that answers or does not, as the test says."""

    def __init__(self, folder: Places, state: State | None = None, **settings: Any) -> None:
        self.alive = True
        self.state = State() if state is None else state
        self.logger = SilentLogger()
        config = load_config(folder.config(**settings), {})
        self._dog = Watchdog(config, self._probe, self.state, AlertLog(self.logger))

    async def _probe(self) -> bool:
        return self.alive

    async def looks(self, start: float, *, until: float, every: float = 10.0) -> None:
        """Look every few seconds from ``start`` until ``until``, both in seconds after NOW."""
        at = start
        while at <= until:
            await self._dog.look(NOW + at)
            at += every


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    with places(tmp_path) as running:
        yield running


def texts(all_places: Places) -> list[list[str]]:
    return [[m.text for m in place.received] for place in all_places.all]


async def test_a_notifier_that_is_dead_is_said_once_and_once_that_it_is_back(
    all_places: Places,
) -> None:
    """To every channel that people read; not before its time, not again while it lasts."""
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=50)
    assert texts(all_places) == [[], [], [], []]

    await dog.looks(60, until=600)
    assert [len(received) for received in texts(all_places)] == [1, 1, 1, 1]

    dog.alive = True
    await dog.looks(610, until=700)
    assert [len(received) for received in texts(all_places)] == [2, 2, 2, 2]
    assert dog.state == State(checked_at=NOW + 700)


async def test_the_messages_say_what_to_do(all_places: Places) -> None:
    """Which part, since when, where to look; and that it is known to be well again."""
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=120)
    dog.alive = True
    await dog.looks(130, until=130)

    dead, back = all_places.wecom.received
    assert dead.text.splitlines()[0].endswith("严重：告警链路无心跳</font>")
    for part in ("服务：ddcolor-notifier", "通知服务已 60 秒无响应", "ddcolor-obs logs notifier"):
        assert part in dead.text
    assert "已恢复" in back.text
    assert "已确认恢复正常" in back.text


async def test_a_hiccup_is_not_said(all_places: Places) -> None:
    """A restart of a few seconds is nobody's business."""
    dog = Dog(all_places)
    for start in (0, 100, 200):
        dog.alive = False
        await dog.looks(start, until=start + 50)
        dog.alive = True
        await dog.looks(start + 60, until=start + 90)

    assert texts(all_places) == [[], [], [], []]


async def test_a_channel_that_fails_gets_its_message_later_and_the_others_no_second(
    all_places: Places,
) -> None:
    """Each channel is told until it has been told."""
    all_places.wecom.fail(Failure.status(500), times=3)
    all_places.dingtalk.fail(Failure.hang_up())
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=600)

    assert [len(received) for received in texts(all_places)] == [1, 1, 1, 1]
    assert all_places.wecom.requests == 4
    # The try that was cut off may have arrived.
    assert "可能重复" in all_places.dingtalk.received[0].text
    assert "可能重复" not in all_places.wecom.received[0].text


async def test_a_channel_that_never_heard_of_it_does_not_hear_that_it_is_over(
    all_places: Places,
) -> None:
    """The end of something unheard of only puzzles."""
    all_places.wecom.fail(Failure.status(500), times=100)
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=100)
    all_places.wecom.behave()
    dog.alive = True
    await dog.looks(110, until=200)

    assert [len(received) for received in texts(all_places)] == [0, 2, 2, 2]


async def test_a_message_that_is_refused_for_ever_is_not_tried_for_ever(
    all_places: Places,
) -> None:
    """A content that a robot will never take is given up."""
    all_places.dingtalk.fail(Failure.code(460101))
    dog = Dog(all_places, watchdog={"channels": ["dingtalk"]})
    dog.alive = False
    await dog.looks(0, until=300)

    assert all_places.dingtalk.requests == 1


async def test_a_robot_that_blocks_is_left_alone_until_it_is_over(all_places: Places) -> None:
    """Ten minutes at DingTalk, also for a watchdog that is started anew."""
    all_places.dingtalk.fail(Failure.code(130101))
    state = State()
    for start in (0, 300):
        dog = Dog(all_places, state)
        dog.alive = False
        await dog.looks(start, until=start + 290)
    assert all_places.dingtalk.requests == 1

    await dog.looks(600, until=700)
    assert len(all_places.dingtalk.received) == 1


async def test_tries_become_rarer_and_say_that_they_may_be_repeats(all_places: Places) -> None:
    """A gateway that never answers does not send a message at each look."""
    all_places.wecom.fail(Failure.swallow(), times=6)
    all_places.wecom.fail(Failure.status(500))
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=600)

    texts = [message.text for message in all_places.wecom.received]
    assert ["可能重复" in text for text in texts] == [False, True, True, True, True, True, True]
    assert all_places.wecom.requests == 8


async def test_each_try_to_say_that_it_is_back_is_the_same_message(all_places: Places) -> None:
    """The other side knows by the id what it has, and the time is that of the return."""
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=60)
    dog.alive = True
    all_places.mail.fail(Failure.swallow())
    await dog.looks(70, until=120)

    _, *back = all_places.mail.received
    assert len(back) == 2
    assert len({message.details["message_id"] for message in back}) == 1


async def test_a_channel_that_raises_ends_no_watchdog(
    all_places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other channels are told, and it is tried again."""
    dog = Dog(all_places)
    dog.alive = False
    with monkeypatch.context() as broken:
        broken.setattr(WeCom, "payload", lambda *_: 1 / 0)
        await dog.looks(0, until=60)
    assert [len(received) for received in texts(all_places)] == [0, 1, 1, 1]

    await dog.looks(70, until=100)
    assert [len(received) for received in texts(all_places)] == [1, 1, 1, 1]


async def test_a_restart_of_the_watchdog_says_nothing_twice(
    all_places: Places, tmp_path: Path
) -> None:
    """What it knows is on disk; so cron works too."""
    file = tmp_path / "state" / "watchdog.json"
    for step in range(40):
        dog = Dog(all_places, load_state(file))
        dog.alive = step >= 30
        await dog.looks(step * 60, until=step * 60)
        save_state(file, dog.state)

    assert [len(received) for received in texts(all_places)] == [2, 2, 2, 2]


async def test_a_night_in_which_nobody_looked_is_not_counted(all_places: Places) -> None:
    """The machine was off: the notifier gets its time to start."""
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=10)
    await dog.looks(36_000, until=36_050)
    assert texts(all_places)[0] == []

    await dog.looks(36_060, until=36_060)
    assert len(texts(all_places)[0]) == 1


async def test_the_language_and_the_channels_are_those_of_the_configuration(
    all_places: Places,
) -> None:
    """In English, by mail only."""
    dog = Dog(all_places, language="en", watchdog={"channels": ["mail"], "dead_after_s": 5})
    dog.alive = False
    await dog.looks(0, until=10)

    assert [len(received) for received in texts(all_places)] == [0, 0, 0, 1]
    assert "The notifier has not answered for 10 s." in texts(all_places)[3][0]


async def test_no_log_record_holds_a_secret(all_places: Places) -> None:
    """Whatever went wrong."""
    for place in all_places.all:
        place.fail(Failure.status(500))
        place.fail(Failure.hang_up())
    dog = Dog(all_places)
    dog.alive = False
    await dog.looks(0, until=100)

    assert dog.logger.records
    assert not [c for c in CANARIES if c in repr(dog.logger.records)]


def test_a_state_that_cannot_be_read_is_a_first_look(tmp_path: Path) -> None:
    """A half-written file ends no watchdog."""
    for text in ("{", '{"other": 1}', "[]"):
        (tmp_path / "s.json").write_text(text, encoding="utf-8")
        assert load_state(tmp_path / "s.json") == State()
    assert load_state(tmp_path / "none.json") == State()


@pytest.mark.parametrize(
    ("status", "alive"), [(200, True), (503, False), (404, False), (302, False)]
)
async def test_only_a_good_answer_is_a_sign_of_life(status: int, alive: bool) -> None:
    """Something else that listens there is no notifier."""
    with scripted_server() as server:
        server.script("GET /healthz", (status, {"status": "ok"}))

        assert await answers(server.url) is alive
        assert await answers(server.url + "/") is alive
    assert not await answers(server.url)
    assert not await answers("no address")
