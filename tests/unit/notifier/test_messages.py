"""The messages, read as their receivers would."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.channels.base import Format
from ddcolor_operations.notifier.messages import TemplateError
from ddcolor_operations.notifier.wording import WordingError, load_wording
from tests.support.alerts import NOON, TRACE_ID, make_alert, make_item, make_renderer

SOON = NOON.timestamp() + 3
LIMITS: dict[Format, int] = {
    "wecom": 4096,
    "wecom_v2": 4096,
    "dingtalk": 10_000,
    "dingtalk_card": 10_000,
    "mail": 100_000,
    "sms": 402,
    "plain": 2048,
}
FORMATS: tuple[Format, ...] = tuple(LIMITS)
CHINESE = make_renderer("zh")
ENGLISH = make_renderer("en")


def test_a_wecom_message_reads_well_on_a_phone() -> None:
    """Level and fault first, then facts a line each, what to do, where to look, the reference."""
    item = make_item(level=3, count=3, values={"threshold": 3})

    lines = CHINESE.render([item], "wecom", 4096, SOON).body.splitlines()

    assert lines[0] == '### 🔴 <font color="warning">严重：显存或内存不足</font>'
    assert lines[1:7] == [
        "> 时间：2026-03-01 12:00:00 +00:00",
        "> 服务：ddcolor-service",
        "> 节点：DDColor_Colorize (2)",
        "> 次数：3 次 · 已升级",
        "> 阈值：3",
        "> 详情：Out of memory: node DDColor_Colorize (2): no room",
    ]
    assert lines[7].startswith("**建议**：降低输入尺寸")
    assert lines[8] == "**自动操作**：未执行（未配置自愈服务）"
    assert re.fullmatch(r"\[查看追踪\]\(https://\S+\) · \[查看日志\]\(https://\S+\)", lines[9])
    reference = item.alert.alert_id[:8]
    assert lines[10] == f'<font color="comment">编号 {reference} · keyword_out_of_memory</font>'
    assert len(lines) == 11


def test_every_line_of_a_dingtalk_quote_ends_so_that_the_robot_breaks_it() -> None:
    """Without two spaces at its end a line is joined with the next."""
    body = CHINESE.render([make_item()], "dingtalk", 10_000, SOON).body

    quoted = [line for line in body.splitlines() if line.startswith(">")]
    assert len(quoted) == 5
    assert all(line.endswith("  ") for line in quoted)


def test_the_english_message_holds_no_chinese() -> None:
    """The language is a setting of the whole message."""
    for format_ in FORMATS:
        body = ENGLISH.render([make_item(level=3)], format_, LIMITS[format_], SOON).body
        assert not re.search(r"[\u4e00-\u9fff]", body)
        assert "Critical" in body


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("kind", CATALOGUE)
def test_each_kind_of_fault_has_its_title_and_action_in_each_format(
    format_: Format, kind: str
) -> None:
    """What the catalogue says is what the receiver reads."""
    fault = CATALOGUE[kind]
    item = make_item(kind=kind, level=int(fault.level))

    for renderer, language in ((CHINESE, "zh"), (ENGLISH, "en")):
        message = renderer.render([item], format_, 10_000, SOON)
        assert getattr(fault.title, language) in message.title
        assert getattr(fault.title, language) in message.body
        assert getattr(fault.action, language) in message.body


def test_an_sms_fits_two_segments_for_every_kind_in_chinese() -> None:
    """The whole text, action included, fits 134 characters for every fault that sends one."""
    for kind in CATALOGUE:
        item = make_item(kind=kind, level=3, alert_id=TRACE_ID)
        body = CHINESE.render([item], "sms", 402, SOON).body
        assert not body.endswith("…"), kind


def test_held_back_alerts_are_counted_in_the_next_message() -> None:
    """One alert and four held back are five times."""
    assert "5 次（含上次通知后未单独通知的）" in (
        CHINESE.render([make_item(held_before=4)], "wecom", 4096, SOON).body
    )


def test_only_a_critical_alert_speaks_of_automatic_action() -> None:
    """A level 2 message is not burdened with what is not expected."""
    assert "自动操作" not in CHINESE.render([make_item(level=2)], "wecom", 4096, SOON).body


def test_a_late_message_says_how_late() -> None:
    """A robot that was down for ten minutes does not make an old fault look new."""
    late = (NOON + timedelta(minutes=10)).timestamp()

    assert "10 分钟前发生，送达延迟" in CHINESE.render([make_item()], "wecom", 4096, late).body
    assert "延迟" not in CHINESE.render([make_item()], "wecom", 4096, SOON).body


def test_a_possible_repeat_says_so() -> None:
    """Only a message of unknown fate that is sent again carries the remark."""
    for format_ in ("wecom", "dingtalk", "mail", "plain"):
        repeat = CHINESE.render([make_item(maybe_sent=True)], format_, 10_000, SOON)
        first = CHINESE.render([make_item()], format_, 10_000, SOON)
        assert "可能重复" in repeat.body
        assert "可能重复" not in first.body
        assert repeat.key == first.key


def test_without_kibana_the_trace_id_stands_in_the_message() -> None:
    """It can be searched for by hand."""
    body = make_renderer(kibana=False).render([make_item()], "wecom", 4096, SOON).body

    assert f"追踪：{TRACE_ID}" in body
    assert "](" not in body


def test_a_rule_of_the_operators_own_kind_gets_a_title_from_its_name() -> None:
    """A kind that the catalogue lacks is delivered all the same."""
    item = make_item(kind="queue_too_long", rule="my_queue_rule")

    assert "规则触发 my_queue_rule" in CHINESE.render([item], "wecom", 4096, SOON).body


@pytest.mark.parametrize("format_", ["wecom", "dingtalk"])
def test_markdown_and_mentions_from_a_log_text_do_nothing(format_: Format) -> None:
    """Nothing that a user can put into a log line formats, mentions or links."""
    evil = "@all <@boss> **bold** [click](https://evil.example) `code` <font color=red> # a"
    item = make_item(summary=evil, node="**n**", service="@s", rule="<r>", values={"**k**": "@v"})

    body = CHINESE.render([item], format_, 10_000, SOON).body

    ours = {"wecom": 2, "dingtalk": 1}[format_]
    assert body.count("**") == 2 * 1
    assert "@" not in body
    assert "evil.example)" not in body.replace("：//evil.example)", "")
    assert "`" not in body
    assert body.count("<font") == (ours if format_ == "wecom" else 0)


def test_html_from_a_log_text_is_text_in_a_mail() -> None:
    """The HTML part escapes what it shows."""
    item = make_item(summary="<script>alert(1)</script>")

    message = CHINESE.render([item], "mail", 100_000, SOON)

    assert "<script>" not in message.html
    assert "&lt;script&gt;" in message.html


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_personal_leaves(format_: Format) -> None:
    """Path, address and key of a summary that was not redacted are gone in every format."""
    item = make_item(summary="at /home/li/wedding.png from 10.1.2.3, mail li@example.com")

    message = CHINESE.render([item], format_, 10_000, SOON)

    for text in (message.body, message.title, message.html):
        assert not re.search(r"wedding|10\.1\.2\.3|li@example|/home/li", text)


@settings(max_examples=50, deadline=None)
@given(
    summary=st.text(max_size=3000),
    node=st.text(min_size=1, max_size=200).filter(str.strip),
    limit=st.integers(100, 4096),
)
def test_no_message_exceeds_its_limit(summary: str, node: str, limit: int) -> None:
    """Whatever the log says, the text fits in bytes and stays one message."""
    for format_ in FORMATS:
        message = CHINESE.render([make_item(summary=summary, node=node)], format_, limit, SOON)
        assert len(message.body.encode()) <= limit


def test_a_long_detail_is_shortened_before_the_links_and_the_reference_are() -> None:
    """What helps most survives in a message that must be short."""
    item = make_item(summary="内存" * 1000)

    body = CHINESE.render([item], "plain", 2048, SOON).body

    assert item.alert.alert_id[:8] in body
    assert "https://kibana.example.com" in body


def test_a_digest_groups_alike_alerts_with_numbers() -> None:
    """Loudest first, then the largest group, with the total in the title."""
    items = [
        *(make_item(n) for n in range(12)),
        *(make_item(20 + n, kind="decode_failed", node=None, node_id=None) for n in range(3)),
        make_item(40, kind="service_down", level=3, node=None),
    ]

    message = CHINESE.render(items, "wecom", 4096, SOON)

    assert message.title == "[严重] 告警汇总：16 条"
    groups = [line for line in message.body.splitlines() if "**" in line]
    assert groups == [
        "🔴 **服务进程退出或无响应** · 1 次",
        "🟠 **显存或内存不足** · 12 次",
        "🟠 **照片无法解码** · 3 次",
    ]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_digest_of_a_storm_fits_and_says_what_it_leaves_out(format_: Format) -> None:
    """Five hundred services in trouble are one message within the limit."""
    items = [make_item(n, service=f"service-{n}") for n in range(500)]

    message = CHINESE.render(items, format_, LIMITS[format_], SOON)

    assert len(message.body.encode()) <= LIMITS[format_]
    assert "500 条" in message.body
    assert "另有" in message.body
    assert ("<html>" in message.html) == (format_ == "mail")


def test_a_digest_has_the_same_key_for_the_same_alerts_in_any_order() -> None:
    """A mail store drops the second of two equal message ids."""
    items = [make_item(n) for n in range(5)]

    forward = CHINESE.render(items, "mail", 100_000, SOON)
    backward = CHINESE.render(items[::-1], "mail", 100_000, SOON)
    assert forward.key == backward.key
    assert forward.key != CHINESE.render(items[:4], "mail", 100_000, SOON).key


def test_an_operators_template_goes_before_ours(tmp_path: Path) -> None:
    """A file of the same name in templates_dir is taken, escaped like ours."""
    (tmp_path / "alert.wecom.j2").write_text("{{ v.title }} {{ v.detail }}", encoding="utf-8")
    renderer = make_renderer(templates_dir=tmp_path)

    body = renderer.render([make_item(summary="**x**")], "wecom", 4096, SOON).body

    assert body == "显存或内存不足 ＊＊x＊＊"


@pytest.mark.parametrize("text", ["{{ v.nothing }}", "{% if %}", "{{ v.__class__.__mro__ }}"])
def test_a_broken_template_is_named_and_the_alert_still_has_a_message(
    tmp_path: Path, text: str
) -> None:
    """The error says which template; the fallback says level, fault and service."""
    (tmp_path / "alert.wecom.j2").write_text(text, encoding="utf-8")
    renderer = make_renderer(templates_dir=tmp_path)

    with pytest.raises(TemplateError, match=r"alert\.wecom\.j2"):
        renderer.render([make_item()], "wecom", 4096, SOON)
    fallback = renderer.fallback([make_item()], "wecom", 4096, SOON)
    assert fallback.body == "［警告］ 显存或内存不足 · ddcolor-service"


def test_both_languages_have_the_same_texts_and_placeholders() -> None:
    """No text is missing in one language only."""
    chinese, english = load_wording("zh", None), load_wording("en", None)

    assert chinese.texts.keys() == english.texts.keys()
    assert chinese.values.keys() == english.values.keys()
    for name, text in chinese.texts.items():
        found = [set(re.findall(r"\{\w+\}", t)) for t in (text, english.texts[name])]
        assert found[0] == found[1], name


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("texts: {once: 一次, twice: 两次}", "no such text"),
        ("texts: {times: '{count} 次'}", "placeholder"),
        ("[1]", "must map"),
        ("texts: {", "zh.yaml"),
    ],
)
def test_an_operators_wording_that_would_fail_later_is_refused_at_start(
    tmp_path: Path, text: str, error: str
) -> None:
    """A misspelt name or placeholder is an error with the file's name."""
    (tmp_path / "zh.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(WordingError, match=error):
        load_wording("zh", tmp_path)


def test_an_operators_wording_replaces_ours(tmp_path: Path) -> None:
    """Only the texts that the file names change."""
    (tmp_path / "zh.yaml").write_text(
        "texts: {action: 怎么办}\nlevels: {2: 注意}", encoding="utf-8"
    )

    body = make_renderer(templates_dir=tmp_path).render([make_item()], "wecom", 4096, SOON).body

    assert "**怎么办**" in body
    assert "注意：显存" in body
    assert "> 服务：" in body


def test_alert_texts_with_format_braces_are_shown_as_they_are() -> None:
    """A summary is never taken for a format string."""
    item = make_item(summary="{n} {0} {{ v.title }} {% raw %}")

    assert "{n} {0} {{ v.title }} {% raw %}" in (
        make_renderer().render([item], "mail", 10_000, SOON).body
    )


def test_the_time_is_in_the_readers_zone_with_its_offset() -> None:
    """No receiver has to guess the zone."""
    assert "2026-03-01 12:00:00 +00:00" in (CHINESE.render([make_item()], "wecom", 4096, SOON).body)
    assert make_alert().occurred_at == NOON
