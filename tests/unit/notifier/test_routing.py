"""Who hears of an alert, who is called by name, and who next."""

from pathlib import Path

import pytest

from ddcolor_operations.notifier.config import Config, load_config
from ddcolor_operations.notifier.describe import describe
from ddcolor_operations.notifier.mentions import Mention
from ddcolor_operations.notifier.occasions import Escalation
from ddcolor_operations.notifier.settings import ConfigError
from tests.support.alerts import make_alert

CHANNELS = """
channels:
  wecom: {webhook: {file: hook}, mention: {users: [duty]}}
  dingtalk: {webhook: {file: hook}}
  heal: {url: {file: hook}, secret: {file: hook}}
"""
FULL = (
    CHANNELS
    + """
routing:
  routes:
    - match: {owner: "vision-*", level: "3"}
      mention: {wecom: {users: [lisi]}}
    - match: {service: "test-*"}
      channels: [record]
      escalation: {steps: []}
  escalation:
    steps:
      - {after_s: 300, channels: [wecom]}
      - {after_s: 600, channels: [dingtalk], mention: {dingtalk: {all: true}}}
    repeat: 2
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hook").write_text("https://example.com/hook?key=canary\n", encoding="utf-8")
    return tmp_path


def load(folder: Path, text: str) -> Config:
    file = folder / "notifier.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, {})


def test_level_3_asks_the_healer_and_so_do_the_kinds_that_it_mends(folder: Path) -> None:
    """Memory and pictures can be mended before they are critical; other faults are not touched."""
    routing = load(folder, CHANNELS).routing

    assert routing.channels(make_alert(level=3)) == ("wecom", "dingtalk", "heal")
    assert routing.channels(make_alert(level=2)) == ("wecom", "dingtalk", "heal")
    assert routing.channels(make_alert(level=2, kind="execution_error")) == ("wecom", "dingtalk")
    assert [routing.heals(make_alert(level=2, kind=k)) for k in ("out_of_memory", "x")] == [
        True,
        False,
    ]


def test_a_route_can_call_others_by_name_and_leave_the_channels(folder: Path) -> None:
    """The owner is one of the labels."""
    routing = load(folder, FULL).routing
    theirs, other = make_alert(level=3, owner="vision-team"), make_alert(level=3)

    assert routing.channels(theirs) == routing.channels(other)
    assert routing.mention(theirs, None, "wecom") == Mention(users=("lisi",))
    assert routing.mention(theirs, None, "dingtalk") is None
    assert routing.mention(other, None, "wecom") is None


def test_the_steps_come_one_after_the_other_and_the_last_repeats(folder: Path) -> None:
    """After that there is none."""
    plan = load(folder, FULL).routing.escalation(make_alert(level=3))
    assert plan is not None

    steps = [plan.step(done) for done in range(5)]
    assert [step.channels if step else None for step in steps] == [
        ("wecom",),
        ("dingtalk",),
        ("dingtalk",),
        ("dingtalk",),
        None,
    ]


def test_a_step_calls_its_own_people(folder: Path) -> None:
    """The second call is for everybody; the first leaves it to the channel."""
    routing, alert = load(folder, FULL).routing, make_alert(level=3)

    assert routing.mention(alert, Escalation(2, 0, 1), "dingtalk") == Mention(everybody=True)
    assert routing.mention(alert, Escalation(1, 0, 1), "wecom") is None


def test_nobody_is_called_below_the_level_or_where_a_route_says_so(folder: Path) -> None:
    """An empty list of steps switches the escalation off."""
    routing = load(folder, FULL).routing

    assert routing.escalation(make_alert(level=2)) is None
    assert routing.escalation(make_alert(level=3, service="test-7")) is None
    assert load(folder, CHANNELS).routing.escalation(make_alert(level=3)) is None


@pytest.mark.parametrize(
    ("routing", "error"),
    [
        ("{levels: {2: [wecon]}}", r"yaml:6: routing.levels.2: channel 'wecon' is not set up"),
        ("{routes: [{match: {}, channels: [wecom]}]}", "at least one pattern"),
        ("{routes: [{match: {kind: x}}]}", "this route changes nothing"),
        ("{routes: [{match: {team: x}, channels: [wecom]}]}", "match.team: unknown setting"),
        (
            "{routes: [{match: {kind: x}, mention: {sms: {users: [a]}}}]}",
            "mention.sms: no channel of this name",
        ),
        (
            "{routes: [{match: {kind: x}, mention: {wecom: {all: true}}}]}",
            "mention.wecom: WeCom's markdown calls user ids only",
        ),
        (
            "{routes: [{match: {kind: x}, mention: {heal: {users: [a]}}}]}",
            "this channel cannot call anybody",
        ),
        ("{escalation: {steps: [{channels: []}]}}", r"steps\[0\].channels: name the channels"),
        ("{escalation: {steps: [{channels: [record]}]}}", "name the channels that call somebody"),
        (
            "{escalation: {steps: [{after_s: 600, channels: [wecom]}]}}",
            r"after_s: 600 is not below quiet_s \(600\)",
        ),
        ("{escalation: {repeat: -1, steps: []}}", "repeat: -1 is not within 0 and 100"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(folder: Path, routing: str, error: str) -> None:
    """Key, line, and what would be right."""
    with pytest.raises(ConfigError, match=error):
        load(folder, f"{CHANNELS}routing: {routing}\n")


def test_an_error_names_the_line_also_deep_in_a_list(folder: Path) -> None:
    """The second route's channel is in the line of its key."""
    text = FULL.replace("channels: [record]", "channels: [nobody]")

    with pytest.raises(ConfigError, match=r"notifier.yaml:12: routing.routes\[1\].channels"):
        load(folder, text)


def test_a_configuration_is_described_in_words(folder: Path) -> None:
    """Who hears of what, who is called, and what may have been forgotten."""
    text = FULL.replace(
        "channels:\n",
        "host: 0.0.0.0\nchannels:\n  spare: {type: wecom, webhook: {file: hook}}\n",
        1,
    ).replace(
        "routing:\n",
        'routing:\n  levels: {2: [record]}\n  quiet_hours: {from: "22:30", to:'
        ' "07:00", timezone: Asia/Shanghai}\n',
    )
    lines = describe(load(folder, text)).lines()

    assert lines == [
        "level 1: record",
        "level 2: record",
        "level 3: wecom, dingtalk, heal",
        "route: owner vision-*, level 3 -> the level's channels, calls wecom",
        "route: service test-* -> record, escalation: none",
        "quiet hours: 22:30 to 07:00 (Asia/Shanghai)",
        (
            "escalation: from level 3: after 300 s wecom, then after 600 s dingtalk, the last 2"
            " times more"
        ),
        "healing: heal",
        "warning: channel spare is set up and no alert goes there",
        "warning: level 2 is only recorded: nobody hears of it",
        (
            "warning: host 0.0.0.0 is reached from other machines and there is no api_token:"
            " anybody there can raise and silence alerts"
        ),
    ]
