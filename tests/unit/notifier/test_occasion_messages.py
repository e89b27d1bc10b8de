"""Messages of escalations, ends, quiet hours and healing, as their reader sees them."""

import re
from typing import Any

import pytest

from ddcolor_operations.notifier.channels.base import Format, Link
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.occasions import Episode, Escalation, Form, Occasion
from ddcolor_operations.notifier.paths import Silent, alert_of
from ddcolor_operations.notifier.routing import EscalationPlan, Routing, Step
from tests.support.alerts import NOON, make_alert, make_reader, make_renderer

NOW = NOON.timestamp()
PLAN = EscalationPlan(3, (Step(300, ("wecom",), {}), Step(900, ("sms",), {})), repeat=0)
ROUTING = Routing(
    levels={1: ("record",), 2: ("wecom",), 3: ("wecom", "heal")},
    plan=PLAN,
    healers={"heal": frozenset({"output_damaged"})},
)
CHINESE, ENGLISH = make_renderer("zh", routing=ROUTING), make_renderer("en", routing=ROUTING)
FORMATS: tuple[Format, ...] = (
    *("wecom", "wecom_v2", "dingtalk", "dingtalk_card", "mail", "plain"),
)


def item(
    number: int = 1, occasion: Occasion = None, form: Form = Form.ALERT, **changes: Any
) -> Item:
    alert = make_alert(number, **{"level": 3, **changes})
    return Item(number, alert, 1, 0, NOW, NOW, 0, False, occasion, form)


CALL = item(occasion=Escalation(1, NOW, 5), form=Form.ESCALATION)


def test_a_first_message_says_how_to_take_the_fault_on_and_by_when() -> None:
    """The command is ready to be copied."""
    reference = make_alert(1).alert_id[:8]

    body = CHINESE.render([item()], "wecom", 4096, NOW).body

    assert f"**请确认**：ddcolor-obs alerts ack {reference}（5 分钟内无人确认将继续催办）" in body
    assert "Acknowledge: ddcolor-obs alerts ack" in ENGLISH.render([item()], "mail", 9999, NOW).body
    assert "请确认" not in make_renderer().render([item()], "wecom", 4096, NOW).body


@pytest.mark.parametrize("format_", FORMATS)
def test_a_call_says_that_nobody_acknowledged_and_for_how_long(format_: Format) -> None:
    """In the title too; with the number of alerts so far; the last step promises no other."""
    message = CHINESE.render([CALL], format_, 10_000, NOW + 300)
    last = item(occasion=Escalation(2, NOW, 5), form=Form.ESCALATION)

    assert message.title == "[严重] 无人确认 · 显存或内存不足 · ddcolor-service"
    assert "已 5 分钟无人确认（第 1 次催办）" in message.body
    assert "5 次" in message.body
    assert "15 分钟内无人确认将继续催办" in message.body
    assert "将继续催办" not in CHINESE.render([last], format_, 10_000, NOW + 1200).body


def test_only_a_message_that_is_late_is_called_late() -> None:
    """A call is on time; what waited for the morning was not delayed by trouble."""
    hours = NOW + 5 * 3600
    held = item(form=Form.HELD_OVER)

    assert "5 小时前发生，送达延迟" in CHINESE.render([item()], "wecom", 4096, hours).body
    assert "⏱" not in CHINESE.render([CALL], "wecom", 4096, hours).body
    body = CHINESE.render([held], "wecom", 4096, hours).body
    assert "5 小时前发生，免打扰时段内推迟发送" in body


def test_a_call_by_sms_says_it_first() -> None:
    """Two segments leave no room for more."""
    body = CHINESE.render([CALL], "sms", 402, NOW + 300).body

    assert body.startswith("[严重] 显存或内存不足，已 5 分钟无人确认（第 1 次催办），")
    assert not body.endswith("…")


def test_healing_is_said_to_be_asked_for_or_not(  # the promise of a message is kept
) -> None:
    """With a healer the message says so, also below level 3 for the kinds that it mends."""
    damaged, other = item(level=2, kind="output_damaged"), item(level=2)

    assert "**自动操作**：已请求自愈服务处理" in CHINESE.render([item()], "wecom", 4096, NOW).body
    assert "已请求自愈服务处理" in CHINESE.render([damaged], "wecom", 4096, NOW).body
    assert "自动操作" not in CHINESE.render([other], "wecom", 4096, NOW).body
    assert "Automatic action: healing was requested" in (
        ENGLISH.render([item()], "plain", 2048, NOW).body
    )
    assert "none was taken (no healer configured)" in (
        make_renderer("en").render([item()], "plain", 2048, NOW).body
    )


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("form", "chinese", "english"),
    [
        (Form.ALERT, "短时间内告警较多", "Many alerts came"),
        (Form.HELD_OVER, "免打扰时段内的告警", "in the quiet hours"),
        (Form.ESCALATION, "一直无人确认", "Nobody has acknowledged"),
    ],
)
def test_a_digest_says_why_it_is_one(
    format_: Format, form: Form, chinese: str, english: str
) -> None:
    """A storm, a night, or nobody there."""
    items = [item(n, None, form, service=f"s{n}") for n in range(7)]

    assert chinese in CHINESE.render(items, format_, 4096, NOW).body
    assert english in ENGLISH.render(items, format_, 4096, NOW).body


@pytest.mark.parametrize("format_", FORMATS)
def test_an_end_says_who_took_it_on(format_: Format) -> None:
    """A name cannot format the message."""
    over = item(occasion=Episode(NOW, NOW + 60, 7, by="**zhang**"), form=Form.OVER)

    body = CHINESE.render([over], format_, 4096, NOW + 700).body

    assert "确认人" in body
    assert ("**zhang**" in body) == (format_ in {"mail", "plain"})
    without = item(occasion=Episode(NOW, NOW + 60, 7), form=Form.OVER)
    assert "确认人" not in CHINESE.render([without], format_, 4096, NOW + 700).body


def test_what_is_known_to_be_over_is_called_resolved() -> None:
    """Quiet is only that nothing came; a mixture is called quiet."""
    known = item(1, Episode(NOW, NOW + 60, 1, resolved=True), Form.OVER)
    guessed = item(2, Episode(NOW, NOW + 60, 1), Form.OVER)

    assert CHINESE.render([known], "wecom", 4096, NOW).title.startswith("[已恢复]")
    assert CHINESE.render([guessed], "wecom", 4096, NOW).title.startswith("[已平息]")
    assert ENGLISH.render([known, guessed], "wecom", 4096, NOW).title == "[Quiet again] 2 faults"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_silent_path_is_told_in_the_readers_words(language: str) -> None:
    """Which path, whose heartbeat, since when; and where to look on this path."""
    reader = make_reader(language)
    silent = Silent("watcher", "ddcolor-service", NOW, 0.4)
    alert = alert_of(silent, NOW + 120, reader.silent_path(silent, NOW + 120))
    told = Item(1, alert, 1, 0, NOW, NOW, 0, maybe_sent=False)

    body = make_renderer(language).render([told], "wecom", 4096, NOW + 121).body

    assert "https://" not in body
    for part in ("watcher", "ddcolor-service", "2026-03-01 12:00:00 +00:00", "ddcolor-obs watch"):
        assert part in body
    assert ("2 分钟" if language == "zh" else "2 min") in body
    assert bool(re.search(r"[\u4e00-\u9fff]", body)) == (language == "zh")


def test_buttons_lead_to_trace_and_logs() -> None:
    """A card has no links in its text, because it has buttons; markdown has them in the text."""
    card = CHINESE.render([item()], "dingtalk_card", 10_000, NOW)
    text = CHINESE.render([item()], "dingtalk", 10_000, NOW)

    assert [link.title for link in card.links] == ["查看追踪", "查看日志"]
    assert all(link.url.startswith("https://kibana.example.com/") for link in card.links)
    assert "https://" not in card.body
    assert "[查看追踪](https://" in text.body
    assert card.body.splitlines()[0] == text.body.splitlines()[0]
    digest = CHINESE.render([item(n) for n in range(6)], "dingtalk_card", 10_000, NOW)
    assert digest.links == (Link("查看日志", digest.links[0].url),)
    assert "https://" not in digest.body


def test_a_table_of_wecoms_second_markdown_is_one() -> None:
    """Header, alignment row, then two cells a row, also when a log's text holds a bar."""
    body = CHINESE.render([item(service="a|b", values={"x|y": "1|2"})], "wecom_v2", 4096, NOW).body

    rows = [line for line in body.splitlines() if line.startswith("|")]
    assert rows[0] == "| 时间 | 2026-03-01 12:00:00 +00:00 |"
    assert rows[1] == "| :-- | :-- |"
    assert {row.count("|") for row in rows} == {3}
    assert "<font" not in body


def test_short_facts_are_there_for_the_templates_of_others() -> None:
    """Of an alert, a digest and an end alike, each fact has a text."""
    over = item(occasion=Episode(NOW, NOW + 60, 7), form=Form.OVER)

    alert = CHINESE.render([item()], "sms", 402, NOW).facts
    digest = CHINESE.render([item(n) for n in range(6)], "sms", 402, NOW).facts
    end = CHINESE.render([over], "sms", 402, NOW).facts

    assert alert["title"] == "显存或内存不足"
    assert (alert["service"], alert["time"], alert["count"]) == (
        *("ddcolor-service", "03-01 12:00", "1 次"),
    )
    assert (digest["title"], digest["count"]) == ("告警汇总：6 条", "6")
    assert (end["level"], end["count"]) == ("已平息", "7 次")
    assert alert.keys() == digest.keys() == end.keys()
