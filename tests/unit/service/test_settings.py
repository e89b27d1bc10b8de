"""Settings: where they come from, which wins, and what a wrong one is told."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from ddcolor_service.settings import Settings, SettingsError, load

TOKEN = "0123456789abcdef"


def test_defaults() -> None:
    """Without anything given the service listens on this machine only, with all faults off."""
    settings = load([], {})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.fault_injection) == ("127.0.0.1", 8188, False)


def test_later_ones_win(tmp_path: Path) -> None:
    """The command line beats the environment, the environment the file, the file the defaults."""
    file = tmp_path / "service.toml"
    file.write_text(
        'host = "file"\nport = 1\nmax_queue = 7\nmodels = ["a", "b"]\noom_retry = true\n'
    )
    settings = load(
        ["--config", str(file), "--host", "argv"],
        {"DDCOLOR_HOST": "env", "DDCOLOR_PORT": "2", "DDCOLOR_LOG_STDOUT": "no"},
    )
    assert (settings.host, settings.port, settings.max_queue) == ("argv", 2, 7)
    assert settings.models == (Path("a"), Path("b"))
    assert (settings.oom_retry, settings.log_stdout) == (True, False)


def test_lists_and_switches() -> None:
    """Folders come as several words or a path list; switches have a --no- form."""
    settings = load(["--models", "a", "b", "--no-log-stdout"], {"DDCOLOR_NODES": "x:y"})
    assert settings.models == (Path("a"), Path("b"))
    assert settings.nodes == (Path("x"), Path("y"))
    assert settings.log_stdout is False


def test_trusted_proxies(tmp_path: Path) -> None:
    """Proxies are addresses or networks of either family, from each of the three sources."""
    file = tmp_path / "service.toml"
    file.write_text('trusted_proxies = ["10.0.0.0/8", "::1"]')
    given = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert load(["--config", str(file)], {}).trusted_proxies == given
    assert load([], {"DDCOLOR_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).trusted_proxies == given
    assert load(["--trusted-proxies", "10.0.0.0/8", "::1"], {}).trusted_proxies == given


def test_config_by_variable(tmp_path: Path) -> None:
    """DDCOLOR_CONFIG names the file; an empty variable counts as none."""
    file = tmp_path / "service.toml"
    file.write_text("port = 9")
    assert load([], {"DDCOLOR_CONFIG": str(file), "DDCOLOR_HOST": ""}).port == 9


def test_tokens(tmp_path: Path) -> None:
    """A token comes from a file or the environment, and no repr shows it."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    settings = load(["--admin-token-file", str(file)], {"DDCOLOR_API_TOKEN": TOKEN + "x"})
    assert (settings.admin_token, settings.api_token) == (TOKEN, TOKEN + "x")
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("argv", "env", "told"),
    [
        (["--port", "x"], {}, "--port: expected a whole number"),
        (["--port", "70000"], {}, "between 0 and 65535"),
        ([], {"DDCOLOR_PORT": "-1"}, "DDCOLOR_PORT"),
        ([], {"DDCOLOR_RATE_LIMIT": "nan"}, "at least 0"),
        ([], {"DDCOLOR_OOM_RETRY": "maybe"}, "true or false"),
        (["--size-policy", "guess"], {}, "round, refuse"),
        (["--config", "/nowhere/x.toml"], {}, "settings file"),
        (["--admin-token-file", "/nowhere"], {}, "admin_token_file"),
        ([], {"DDCOLOR_ADMIN_TOKEN": "short"}, "at least 16"),
        ([], {"DDCOLOR_TRUSTED_PROXIES": "10.0.0.1/8"}, "address or network"),
        (["--trusted-proxies", "proxy.example"], {}, "address or network"),
        (["--fault-injection"], {}, "no admin token"),
    ],
)
def test_wrong_settings(argv: list[str], env: dict[str, str], told: str) -> None:
    """A wrong setting says where it was given and what is expected."""
    with pytest.raises(SettingsError) as caught:
        load(argv, env)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "no setting 'prot'"),
        ("port = ", "not TOML"),
        ('port = "x"', "whole number"),
        ("port = true", "whole number"),
        ("port = 8188.5", "whole number"),
        ("host = 5", "expected text"),
        ('models = "a"', "list of folders"),
        ("trusted_proxies = [1]", "list of addresses"),
        (f'admin_token = "{TOKEN}"', "admin_token_file"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, told: str) -> None:
    """A wrong file says which setting is wrong; a secret has no place in it."""
    file = tmp_path / "service.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(["--config", str(file)], {})
    assert told in str(caught.value)
    assert TOKEN not in str(caught.value)
