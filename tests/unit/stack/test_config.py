"""The stack's settings: where they come from and which are refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ddcolor_operations.stack.config import DEFAULT_PORTS, ConfigError, StackConfig


def test_overrides_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """The nearest source of a setting wins."""
    file = tmp_path / "settings.toml"
    file.write_text('language = "en"\nkibana_url = "http://file"\nport_offset = 1\n')
    environ = {"DDCOLOR_OBS_KIBANA_URL": "http://env", "DDCOLOR_OBS_PORT_OFFSET": "2"}
    config = StackConfig.create(
        state=tmp_path, config_file=file, environ=environ, port_offset=3, demo=None
    )
    assert (config.language, config.kibana_url, config.port_offset) == ("en", "http://env", 3)
    assert config.demo is False


def test_port_offset_moves_every_port(tmp_path: Path) -> None:
    """Two stacks with different offsets share no port."""
    config = StackConfig.create(state=tmp_path, environ={}, port_offset=1000)
    assert [config.port(name) for name in DEFAULT_PORTS] == [
        port + 1000 for port in DEFAULT_PORTS.values()
    ]
    assert config.url("service") == "http://127.0.0.1:9188"


def test_default_ports_are_distinct() -> None:
    """No two parts want the same port."""
    assert len(set(DEFAULT_PORTS.values())) == len(DEFAULT_PORTS)


def test_single_port_by_environment(tmp_path: Path) -> None:
    """One port can be moved alone."""
    config = StackConfig.create(state=tmp_path, environ={"DDCOLOR_OBS_PORT_SERVICE": "8200"})
    assert config.port("service") == 8200


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("langauge = 'en'", "unknown setting langauge"),
        ("language = 'fr'", "must be zh or en"),
        ("port_offset = 'x'", "must be a whole number"),
        ("port_offset = 60000", "must be 1 to 65535"),
        ("demo = 'maybe'", "must be true or false"),
        ("[ports]\nkibana = 1", "unknown port kibana"),
        ("language = ", "not valid TOML"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: str, said: str) -> None:
    """A wrong setting is refused with the file's name and what is wrong."""
    file = tmp_path / "settings.toml"
    file.write_text(settings)
    with pytest.raises(ConfigError, match=said) as caught:
        StackConfig.create(state=tmp_path, config_file=file, environ={})
    assert str(file) in str(caught.value)


def test_saved_settings_are_read_back_equal(tmp_path: Path) -> None:
    """The supervisor sees the very settings that ``up`` was given."""
    config = StackConfig.create(
        state=tmp_path, environ={}, port_offset=5, demo=True, models=[tmp_path], language="en"
    )
    config.save()
    assert StackConfig.load(tmp_path) == config


def test_admin_token_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    """The token's file is readable by its owner alone and keeps its value."""
    config = StackConfig.create(state=tmp_path, environ={})
    token = config.admin_token
    assert len(token) >= 32
    assert config.admin_token == token
    assert stat.S_IMODE(config.ensure_admin_token().stat().st_mode) == 0o600
