"""The configuration: defaults, routing, overrides, and errors that name the way out."""

import re
from pathlib import Path

import pytest
import yaml

from ddcolor_operations.layout import project_root
from ddcolor_operations.notifier.channels.wecom import WeCom
from ddcolor_operations.notifier.config import OVERRIDES, Config, load_config
from ddcolor_operations.notifier.settings import ConfigError
from tests.support.alerts import make_alert

WECOM = "wecom: {webhook: {file: hook}}"
DINGTALK = "dingtalk: {webhook: {file: hook}, signing_secret: {env: DING_SECRET}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hook").write_text("https://example.com/hook?key=canary\n", encoding="utf-8")
    monkeypatch.setenv("DING_SECRET", "SECcanary")
    return tmp_path


def load(folder: Path, text: str, **environment: str) -> Config:
    file = folder / "notifier.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, environment)


def test_an_empty_file_records_every_alert(folder: Path) -> None:
    """Without channels nothing is sent and nothing is lost."""
    config = load(folder, "")

    assert (config.host, config.port, config.language) == ("127.0.0.1", 8085, "zh")
    assert config.kibana is None
    for level in (1, 2, 3):
        assert config.routing.channels(make_alert(level=level)) == ("record",)


def test_the_default_routing_uses_the_channels_that_are_set_up(folder: Path) -> None:
    """Level 1 is recorded; levels 2 and 3 go to those of their channels that exist."""
    config = load(folder, f"channels:\n  {WECOM}\n  {DINGTALK}\n")

    assert config.routing.channels(make_alert(level=1)) == ("record",)
    assert config.routing.channels(make_alert(level=2)) == ("wecom", "dingtalk")
    assert config.routing.channels(make_alert(level=3)) == ("wecom", "dingtalk")


def test_the_first_route_that_matches_wins_over_the_level(folder: Path) -> None:
    """Patterns are shell patterns over service, kind, rule and level, all of which must match."""
    config = load(
        folder,
        f"""
channels:
  {WECOM}
  night: {{type: wecom, webhook: {{file: hook}}}}
routing:
  levels: {{2: [wecom]}}
  routes:
    - {{match: {{service: "test-*"}}, channels: [record]}}
    - {{match: {{kind: out_of_memory, level: "3"}}, channels: [wecom, night]}}
""",
    )

    assert config.routing.channels(make_alert(service="test-7", level=3)) == ("record",)
    assert config.routing.channels(make_alert(level=3)) == ("wecom", "night")
    assert config.routing.channels(make_alert(level=2)) == ("wecom",)


def test_environment_variables_override_the_file(folder: Path) -> None:
    """Each documented variable replaces its setting."""
    config = load(
        folder,
        "port: 1\nlanguage: zh\nkibana_url: http://old",
        DDCOLOR_NOTIFIER_PORT="9999",
        DDCOLOR_NOTIFIER_LANGUAGE="en",
        DDCOLOR_NOTIFIER_KIBANA_URL="http://kibana:5601",
        DDCOLOR_NOTIFIER_DATA_DIR=str(folder / "data"),
        DDCOLOR_NOTIFIER_LOG_FILE=str(folder / "log.jsonl"),
        DDCOLOR_NOTIFIER_HOST="127.0.0.2",
        DDCOLOR_NOTIFIER_TIMEZONE="Asia/Shanghai",
    )

    assert len(OVERRIDES) == 7
    assert (config.host, config.port, config.language) == ("127.0.0.2", 9999, "en")
    assert config.kibana is not None
    assert config.kibana.url == "http://kibana:5601"
    assert (config.data_dir, config.log_file) == (folder / "data", folder / "log.jsonl")
    assert str(config.zone) == "Asia/Shanghai"


def test_paths_are_relative_to_the_file(folder: Path) -> None:
    """Where the process was started from does not matter."""
    config = load(folder, "data_dir: data\nlog_file: logs/n.jsonl")

    assert (config.data_dir, config.log_file) == (folder / "data", folder / "logs/n.jsonl")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[1]", "mapping"),
        ("a: [", "not YAML"),
        ("a: 2026-13-45", "not YAML: month must be in 1..12"),
        ("prot: 8085", r"prot: unknown setting: did you mean 'port'\?"),
        ("port: eighty", "port: a number is needed"),
        ("port: 70000", "port: 70000 is not within 0 and 65535"),
        ("port: 80.5", "port: a whole number is needed"),
        ("language: fr", "language: 'fr' is none of zh, en"),
        ("timezone: Mars/Base", "timezone: 'Mars/Base' is unknown"),
        ("templates_dir: nowhere", "templates_dir: .* is not a folder"),
        ("quiet_s: 299", "quiet_s: 299 is not within 300"),
        ("retry: {first_s: 0}", "retry.first_s: 0 is not within"),
        ("retry: {firsts: 1}", "retry.firsts: unknown setting"),
        ("channels: {record: {}}", "channels.record: this channel is always there"),
        ("channels: {Out of memory: {}}", "channels.Out of memory: a channel's name"),
        ("channels: {chat: {}}", "channels.chat.type: 'chat' is none of wecom"),
        ("channels: {wecom: {}}", "channels.wecom.webhook: a secret is never written here"),
        ("channels: {wecom: {webhook: {vault: x}}}", "unknown kind of secret"),
        ("channels: {wecom: {webhook: {file: gone}}}", "gone: No such file"),
        ("channels: {wecom: {webhook: {env: UNSET_X}}}", "UNSET_X is unset or empty"),
        ("channels: {wecom: {webhook: {file: hook}, per_minute: 0}}", "per_minute: 0"),
        ("channels: {wecom: {webhook: {file: hook}, format: html}}", "format: 'html' is none of"),
        (
            "channels: {wecom: {webhook: {file: hook}, mention: {mobiles: ['1']}}}",
            "set format: text",
        ),
        ("channels: {dingtalk: {webhook: {file: hook}, mention: {mobiles: [1]}}}", "in quotes"),
        ("channels: {sms: {url: {file: hook}}}", "channels.sms.to: at least one number"),
        (
            "channels: {sms: {url: {file: hook}, to: ['1'], body: '{{ phone }}'}}",
            "body: 'phone' is undefined",
        ),
        ("channels: {mail: {host: h, from: a@b.c}}", "channels.mail.to: at least one address"),
        ("channels: {mail: {host: h, from: a, to: [b@c.d]}}", "'a' is no mail address"),
        (
            "channels: {mail: {host: h, from: a@b.c, to: [b@c.d], username: u}}",
            "give username and password, or neither",
        ),
        (
            """channels: {mail: {host: h, from: a@b.c, to: [b@c.d], security: none,
                       username: u, password: {file: hook}}}""",
            "in the clear",
        ),
        ("routing: {levels: {2: [wecom]}}", "routing.levels.2: channel 'wecom' is not set up"),
        ("routing: {levels: {4: [record]}}", "routing.levels.4: unknown setting"),
        ("routing: {routes: [{match: {}, channels: [record]}]}", "at least one pattern"),
        ("routing: {routes: [{match: {host: a}, channels: [record]}]}", "match.host: unknown"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(folder: Path, text: str, error: str) -> None:
    """The error has the file, the dotted name of the setting and what to do."""
    with pytest.raises(ConfigError, match=error) as caught:
        load(folder, text)

    assert str(folder / "notifier.yaml") in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path stands in the error."""
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml", {})


def test_a_port_in_the_environment_that_is_no_number_is_named(folder: Path) -> None:
    """The variable's name stands in the error."""
    with pytest.raises(ConfigError, match="DDCOLOR_NOTIFIER_PORT: 'http' is not a port"):
        load(folder, "", DDCOLOR_NOTIFIER_PORT="http")


def test_no_secret_shows_in_the_configuration_or_in_an_error(folder: Path) -> None:
    """Neither repr nor an error over a neighbour repeats a value."""
    config = load(folder, f"channels:\n  {WECOM}\n  {DINGTALK}\n")
    assert "canary" not in repr(config)
    assert "hook" in repr(config)

    with pytest.raises(ConfigError) as caught:
        load(folder, "channels: {wecom: {webhook: 'https://example.com/?key=canary'}}")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_rotated_secret_needs_no_restart(folder: Path) -> None:
    """The value is read for each use."""
    wecom = load(folder, f"channels:\n  {WECOM}\n").channels["wecom"]
    assert isinstance(wecom, WeCom)
    (folder / "hook").write_text("https://example.com/hook?key=new", encoding="utf-8")

    assert wecom.webhook.reveal() == "https://example.com/hook?key=new"


def test_the_examples_of_the_guide_load(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/alerts.md tells to write is accepted, all of it in one file."""
    guide = (project_root() / "docs" / "alerts.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    monkeypatch.setenv("DINGTALK_SECRET", "SEC")
    (folder / "secrets").mkdir()
    for name in re.findall(r"file: secrets/([a-z.]+)", "".join(examples)):
        value = "json://localhost" if name.endswith("apprise") else "http://localhost"
        (folder / "secrets" / name).write_text(value, encoding="utf-8")
    first, *others = map(yaml.safe_load, examples)

    config = load(folder, examples[0])
    assert config.routing.channels(make_alert(level=3)) == ("wecom", "dingtalk", "sms", "mail")

    for other in others:
        first["channels"] |= other.get("channels", {})
        first["routing"] = other.get("routing", first.get("routing", {}))
    config = load(folder, yaml.safe_dump(first))
    assert config.routing.channels(make_alert(level=3)) == ("wecom", "sms", "mail", "heal")
    assert config.routing.quiet_hours is not None
    assert config.routing.escalation(make_alert(level=3)) is not None
    assert set(config.channels) >= {"cards", "tables", "aliyun_sms", "tencent_sms", "feishu"}
    for setting in OVERRIDES:
        assert setting.removeprefix("DDCOLOR_NOTIFIER") in guide
