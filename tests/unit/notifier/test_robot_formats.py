"""What the robots are sent: formats, limits in bytes, buttons, and whom a message calls."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from ddcolor_operations.notifier.channels import make_channel
from ddcolor_operations.notifier.channels.base import Channel, Delivered, Link, Message
from ddcolor_operations.notifier.channels.dingtalk import DingTalk
from ddcolor_operations.notifier.channels.wecom import WeCom
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.mentions import Mention
from ddcolor_operations.notifier.secrets import readers
from ddcolor_operations.notifier.settings import ConfigError, Section
from tests.support.places import Places, places

MESSAGE = Message("title", "### body\nline", 2, "0123456789abcdef")
LOUD = Message("title", "body", 3, "0123456789abcdef")


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    with places(tmp_path) as running:
        yield running


def channel(all_places: Places, name: str) -> Channel:
    return load_config(all_places.config(), {}).channels[name]


def section(folder: Path, **settings: Any) -> Section:
    return Section(settings, "channel", base=folder, secrets=readers(folder))


@pytest.mark.parametrize(("type_", "limit"), [("markdown", 4096), ("text", 2048)])
def test_a_wecom_content_never_exceeds_the_limit_in_bytes(
    tmp_path: Path, type_: str, limit: int
) -> None:
    """Mentions are inside the limit, and no character is broken."""
    (tmp_path / "hook").write_text("http://x", encoding="utf-8")
    made = make_channel(
        "wecom",
        section(
            tmp_path, webhook={"file": "hook"}, format=type_, mention={"users": ["zhangsan"] * 9}
        ),
    )
    assert isinstance(made, WeCom)

    body = json.loads(made.payload(Message("t", "显存" * 3000, 3, "k")))

    content = body[type_]["content"]
    assert limit - 4 < len(content.encode()) <= limit
    assert ("<@zhangsan>" in content) == (type_ == "markdown")
    assert ("mentioned_list" in body[type_]) == (type_ == "text")


@pytest.mark.parametrize("text", ["显存" * 9000, '"\n' * 20_000, "a" * 30_000])
def test_a_dingtalk_request_never_exceeds_20000_bytes(all_places: Places, text: str) -> None:
    """Quotes and line breaks count with their JSON escapes."""
    made = channel(all_places, "dingtalk")
    assert isinstance(made, DingTalk)

    assert 19_000 < len(made.payload(Message("标题" * 500, text, 3, "k"))) <= 20_000


async def test_only_a_loud_message_mentions(all_places: Places) -> None:
    """Level 2 wakes nobody; level 3 names the mobiles in the text and in "at"."""
    made = make_channel(
        "dingtalk",
        section(
            all_places.folder,
            webhook={"file": "dingtalk.webhook"},
            signing_secret={"file": "dingtalk.secret"},
            mention={"mobiles": ["13800000000"]},
        ),
    )
    await made.send(MESSAGE)
    await made.send(LOUD)

    quiet, loud = all_places.dingtalk.received
    nobody = {"atMobiles": [], "atUserIds": [], "isAtAll": False}
    assert (quiet.details["at"], "@1380" in quiet.text) == (nobody, False)
    assert loud.details["at"]["atMobiles"] == ["13800000000"]
    assert loud.text.endswith("@13800000000")


LINKS = (Link("查看追踪", "https://k/t"), Link("查看日志", "https://k/l"))


async def test_a_card_has_buttons_and_a_message_that_calls_somebody_is_none(
    all_places: Places,
) -> None:
    """A card can call nobody, and one without a button is refused: then markdown is sent."""
    made = make_channel(
        "dingtalk",
        section(
            all_places.folder,
            format="action_card",
            webhook={"file": "dingtalk.webhook"},
            signing_secret={"file": "dingtalk.secret"},
            mention={"users": ["zhang"]},
        ),
    )
    for message in (
        replace(MESSAGE, links=LINKS),
        replace(LOUD, links=LINKS),
        replace(MESSAGE, links=LINKS, mention=Mention(mobiles=("138",))),
        MESSAGE,
    ):
        assert await made.send(message) == Delivered()

    types = [received.details["msgtype"] for received in all_places.dingtalk.received]
    assert types == ["actionCard", "markdown", "markdown", "markdown"]
    assert all_places.dingtalk.received[0].details["links"] == dict(LINKS)
    assert all_places.dingtalk.received[2].text.endswith("@138")
    assert made.shape(2, None).format == "dingtalk_card"
    assert made.shape(3, None).format == "dingtalk"


@pytest.mark.parametrize(
    ("type_", "mention", "error"),
    [
        ("markdown", {"mobiles": ["138"]}, "calls user ids only"),
        ("markdown", {"all": True}, "calls user ids only"),
        ("markdown_v2", {"users": ["zhang"]}, "markdown_v2 can call nobody"),
        ("text", {"users": ["zhang"], "mobiles": ["138"], "all": True}, None),
        ("markdown", {"users": ["zhang"]}, None),
    ],
)
def test_wecom_says_whom_it_can_call(
    tmp_path: Path, type_: str, mention: dict[str, Any], error: str | None
) -> None:
    """Each of its formats can call others, or nobody."""
    (tmp_path / "hook").write_text("http://x", encoding="utf-8")
    settings = section(tmp_path, webhook={"file": "hook"}, format=type_, mention=mention)
    if error is not None:
        with pytest.raises(ConfigError, match=error):
            make_channel("wecom", settings)
        return
    body = json.loads(cast("WeCom", make_channel("wecom", settings)).payload(LOUD))
    if type_ == "text":
        assert body["text"]["mentioned_list"] == ["zhang", "@all"]
        assert body["text"]["mentioned_mobile_list"] == ["138"]
    else:
        assert body["markdown"]["content"].endswith("<@zhang>")


async def test_wecoms_second_markdown_is_taken(all_places: Places) -> None:
    """Under its own name, within the same limit."""
    made = make_channel(
        "wecom",
        section(all_places.folder, webhook={"file": "wecom.webhook"}, format="markdown_v2"),
    )
    assert await made.send(replace(MESSAGE, body="显存" * 3000)) == Delivered()

    (received,) = all_places.wecom.received
    assert received.details["msgtype"] == "markdown_v2"
    assert 4090 < len(received.text.encode()) <= 4096
