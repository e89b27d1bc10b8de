"""The local robots refuse what the real ones refuse."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from ddcolor_operations.receivers import DingTalkRobot, SmsGateway, WeComRobot
from ddcolor_operations.receivers.http import HttpReceiver, Request


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def post(receiver: HttpReceiver, data: object, *query: tuple[str, str], **headers: str) -> Any:
    """Hand a request to a receiver."""
    return receiver.handle(Request(tuple(query), headers, json.dumps(data).encode()))


def markdown(content: str = "hello") -> dict[str, Any]:
    return {"msgtype": "markdown", "markdown": {"content": content}}


class TestWeCom:
    """The WeCom robot."""

    key = ("key", "KEY")

    @pytest.mark.parametrize("query", [(), (("key", "other"),), (("key", "KEY"), ("key", "KEY"))])
    def test_a_wrong_key_is_refused(self, query: tuple[tuple[str, str], ...]) -> None:
        """Missing, wrong or doubled: errcode 93000, and the sender's address in the text."""
        answer = post(WeComRobot("KEY"), markdown(), *query)

        assert answer["errcode"] == 93000
        assert "from ip: " in answer["errmsg"]

    @pytest.mark.parametrize(("kind", "limit"), [("markdown", 4096), ("text", 2048)])
    def test_the_limit_is_in_bytes(self, kind: str, limit: int) -> None:
        """A text of the limit passes, one more character does not, and a Chinese one counts 3."""
        robot = WeComRobot("KEY")
        fits = "显" * (limit // 3) + "a" * (limit % 3)

        assert post(robot, {"msgtype": kind, kind: {"content": fits}}, self.key)["errcode"] == 0
        over = post(robot, {"msgtype": kind, kind: {"content": fits + "a"}}, self.key)
        assert over["errcode"] == 40058
        assert len(robot.received) == 1

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            ([], 93017),
            ({"msgtype": "poem"}, 40008),
            (markdown(""), 44004),
            ({"msgtype": "markdown", "markdown": "x"}, 44004),
        ],
    )
    def test_a_bad_body_is_refused(self, data: object, code: int) -> None:
        """Each mistake has its code."""
        assert post(WeComRobot("KEY"), data, self.key)["errcode"] == code

    def test_the_21st_message_in_a_minute_is_refused(self) -> None:
        """The minute slides: a slot is free again sixty seconds after it was used."""
        clock = Clock()
        robot = WeComRobot("KEY", clock=clock)
        codes = [post(robot, markdown(), self.key)["errcode"] for _ in range(21)]
        assert codes == [0] * 20 + [45009]

        clock.now += 60
        assert post(robot, markdown(), self.key)["errcode"] == 0


def signed(secret: str, clock: Clock, *, age_ms: int = 0) -> list[tuple[str, str]]:
    stamp = str(int(clock.now * 1000) - age_ms)
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    return [("timestamp", stamp), ("sign", base64.b64encode(digest).decode())]


class TestDingTalk:
    """The DingTalk robot."""

    token = ("access_token", "TOKEN")
    body: dict[str, Any] = {"msgtype": "markdown", "markdown": {"title": "t", "text": "hello"}}  # noqa: RUF012 - read only

    def test_an_unknown_token_is_refused(self) -> None:
        """Errcode 300005."""
        answer = post(DingTalkRobot("TOKEN"), self.body, ("access_token", "x"))

        assert answer["errcode"] == 300005

    def test_a_fresh_signature_is_taken_and_every_other_refused(self) -> None:
        """Missing, wrong, too old, or two of them: errcode 310000."""
        clock = Clock()
        robot = DingTalkRobot("TOKEN", signing_secret="S", clock=clock)
        good = signed("S", clock)

        assert post(robot, self.body, self.token, *good)["errcode"] == 0
        for bad in (
            [],
            signed("other", clock),
            signed("S", clock, age_ms=3_600_001),
            [*good, *signed("S", clock)],
            [("timestamp", "now"), good[1]],
        ):
            assert post(robot, self.body, self.token, *bad)["errcode"] == 310000
        assert len(robot.received) == 1

    def test_a_missing_keyword_is_refused(self) -> None:
        """A robot with the keyword setting demands it in every message."""
        robot = DingTalkRobot("TOKEN", keyword="告警")

        assert post(robot, self.body, self.token)["errcode"] == 310000
        text = {"msgtype": "text", "text": {"content": "告警:x"}}
        assert post(robot, text, self.token)["errcode"] == 0

    def test_a_request_over_20000_bytes_is_refused(self) -> None:
        """The whole body counts."""
        body = {"msgtype": "markdown", "markdown": {"title": "t", "text": "a" * 20_000}}

        assert post(DingTalkRobot("TOKEN"), body, self.token)["errcode"] == 460101

    @pytest.mark.parametrize("data", [{"msgtype": "markdown"}, {"msgtype": "poem"}, {}])
    def test_a_body_without_content_is_refused(self, data: dict[str, Any]) -> None:
        """Title and text are both needed."""
        assert post(DingTalkRobot("TOKEN"), data, self.token)["errcode"] == 400106

    def test_too_fast_blocks_the_robot_for_ten_minutes(self) -> None:
        """After the 21st message in a minute nothing is taken, until the block ends."""
        clock = Clock()
        robot = DingTalkRobot("TOKEN", clock=clock)
        codes = [post(robot, self.body, self.token)["errcode"] for _ in range(21)]
        assert codes == [0] * 20 + [130101]

        clock.now += 599
        assert post(robot, self.body, self.token)["errcode"] == 130101
        clock.now += 1
        assert post(robot, self.body, self.token)["errcode"] == 0


def test_the_sms_gateway_checks_its_token_and_sends_an_id_once() -> None:
    """A repeated id is confirmed and not sent again."""
    gateway = SmsGateway("T")
    body = {"phones": ["1"], "text": "x", "id": "a"}

    assert post(gateway, body)["code"] == "E403"
    assert post(gateway, {"phones": []}, Authorization="Bearer T")["code"] == "E400"
    for _ in range(2):
        assert post(gateway, body, Authorization="Bearer T")["code"] == "OK"
    assert len(gateway.received) == 1
