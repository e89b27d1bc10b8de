"""Settings of the service: a TOML file, ``DDCOLOR_*`` variables and the command line.

Later ones win: default < file < environment < command line. Secrets come only from files or the
environment, because the command line is readable by every user of the machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

ENV_PREFIX = "DDCOLOR_"
MIN_TOKEN_CHARS = 16
SizePolicy = Literal["round", "refuse"]
Networks = tuple[IPv4Network | IPv6Network, ...]


class SettingsError(Exception):
    """A setting is wrong; the message says where it was given and what is expected."""


def _setting(
    default: Any, text: str, *, low: float | None = None, high: float | None = None
) -> Any:
    meta = {"help": text, "low": low, "high": high}
    if isinstance(default, list):
        return field(default_factory=lambda: tuple(default), metadata=meta)
    return field(default=default, metadata=meta)


# ruff: noqa: RUF009  _setting returns a dataclass field
@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Sizes in bytes or pixels, times in seconds."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8188, "port to listen on; 0 takes a free one", low=0, high=65535)
    state: Path = _setting(Path("ddcolor-data"), "folder for uploads, pictures and the queue")
    models: tuple[Path, ...] = _setting([], "folders with checkpoints")
    device: str = _setting("auto", "auto, cpu, cuda, cuda:N or mps")
    nodes: tuple[Path, ...] = _setting([], "folders with third-party nodes")
    log_file: Path | None = _setting(None, "file for JSON log lines")
    log_stdout: bool = _setting(True, "write the log lines to standard output too")

    max_upload_bytes: int = _setting(61 << 20, "largest upload", low=1)
    max_json_bytes: int = _setting(1 << 20, "largest JSON body", low=1024)
    max_pixels: int = _setting(50_000_000, "largest picture in pixels", low=1024)
    max_queue: int = _setting(100, "prompts that may wait", low=1)
    max_nodes: int = _setting(500, "nodes of one prompt", low=1)
    max_history: int = _setting(1000, "finished prompts that are remembered", low=1)
    min_free_disk_bytes: int = _setting(256 << 20, "below this, not ready", low=0)
    list_uploads: bool = _setting(False, "name the uploads of all users in /object_info")
    embed_workflow: bool = _setting(False, "write the workflow into saved PNG files")
    retention_hours: float = _setting(168.0, "age at which pictures go; 0 keeps them", low=0)

    size_policy: SizePolicy = _setting("round", "a size that is no multiple of 32: round or refuse")
    oom_retry: bool = _setting(False, "out of memory: try once more at a smaller size")
    time_limit_s: float = _setting(30.0, "a node that runs longer is called slow", low=0.1)
    node_hard_limit_s: float = _setting(0.0, "a node is stopped after this; 0 never", low=0)
    prompt_hard_limit_s: float = _setting(0.0, "a prompt is stopped after this; 0 never", low=0)
    drain_s: float = _setting(25.0, "SIGTERM: wait this long for the running prompt", low=0)

    cors_origin: str = _setting("", "the one web origin that may call from elsewhere")
    rate_limit: float = _setting(0.0, "requests a second of one client; 0 no limit", low=0)
    trusted_proxies: Networks = _setting([], "proxies whose X-Forwarded-For is believed")
    fault_injection: bool = _setting(False, "allow /admin/faults (needs the admin token)")
    admin_token_file: Path | None = _setting(None, "file with the admin token")
    api_token_file: Path | None = _setting(None, "file with the token that clients must send")
    admin_token: str | None = field(default=None, repr=False, metadata={"secret": True})
    api_token: str | None = field(default=None, repr=False, metadata={"secret": True})


_FIELDS = {f.name: f for f in dataclasses.fields(Settings)}
_TYPES = get_type_hints(Settings)


def load(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raises :class:`SettingsError` and, for ``--help``, ``SystemExit``."""
    env = os.environ if environ is None else environ
    given = vars(_parser().parse_args(argv))
    config = given.pop("config", None) or env.get(f"{ENV_PREFIX}CONFIG")
    values: dict[str, Any] = {}
    if config:
        values.update(_from_file(Path(config)))
    values.update(_from_environ(env))
    for name, value in given.items():
        values[name] = _convert(name, value, f"--{name.replace('_', '-')}")
    for name in ("admin_token", "api_token"):
        path = values.get(f"{name}_file")
        if path is not None:
            values[name] = _read_secret(path, f"{name}_file")
        _check_token(values.get(name), name)
    settings = Settings(**values)
    if settings.fault_injection and settings.admin_token is None:
        raise SettingsError(
            "fault_injection is on but there is no admin token: give --admin-token-file or"
            f" {ENV_PREFIX}ADMIN_TOKEN"
        )
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ddcolor-service",
        description="Restores photos with DDColor behind ComfyUI's API.",
        epilog="Every option is also a key of the TOML file and a variable DDCOLOR_<NAME>."
        " The tokens themselves: DDCOLOR_ADMIN_TOKEN, DDCOLOR_API_TOKEN.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    for name, item in _FIELDS.items():
        if "secret" in item.metadata:
            continue
        flag = "--" + name.replace("_", "-")
        text = str(item.metadata["help"])
        if _TYPES[name] is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text, dest=name)
        elif _is_list(name):
            parser.add_argument(flag, nargs="+", metavar="X", help=text, dest=name)
        else:
            shown = "" if item.default is None else f" (default {item.default})"
            parser.add_argument(flag, metavar="X", help=text + shown, dest=name)
    return parser


def _is_list(name: str) -> bool:
    return _TYPES[name] in (tuple[Path, ...], Networks)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path.name} is not TOML: {error}") from error
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in _FIELDS:
            raise SettingsError(f"{path.name}: there is no setting {name!r}")
        if "secret" in _FIELDS[name].metadata:
            raise SettingsError(f"{path.name}: {name} is a secret; give {name}_file instead")
        values[name] = _convert(name, value, f"{path.name}: {name}")
    return values


def _from_environ(env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, item in _FIELDS.items():
        key = ENV_PREFIX + name.upper()
        raw = env.get(key)
        if not raw:  # an empty variable is how compose files say "not given"
            continue
        if "secret" in item.metadata:
            values[name] = raw
        elif _is_list(name):
            # An IPv6 address holds colons, so addresses are told apart by commas.
            between = "," if _TYPES[name] == Networks else os.pathsep
            values[name] = _convert(name, raw.split(between), key)
        else:
            values[name] = _convert(name, raw, key)
    return values


def _convert(name: str, value: Any, where: str) -> Any:
    """Turn one given value into the field's type, or say what is wrong and where."""
    wanted = _TYPES[name]
    if _is_list(name):
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            noun = "addresses" if wanted == Networks else "folders"
            raise SettingsError(f"{where}: expected a list of {noun}")
        if wanted == Networks:
            return tuple(_to_network(part, where) for part in value if part.strip())
        return tuple(Path(part).expanduser() for part in value if part)
    if wanted is bool:
        return _to_bool(value, where)
    if wanted in (int, float):
        return _to_number(name, value, where)
    if not isinstance(value, str):
        raise SettingsError(f"{where}: expected text, got {type(value).__name__}")
    if wanted in (Path, Path | None):
        return Path(value).expanduser()
    choices = get_args(wanted)
    if choices and value not in choices:
        raise SettingsError(f"{where}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def _to_network(value: str, where: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value.strip())
    except ValueError:
        raise SettingsError(
            f"{where}: expected an address or network such as 10.0.0.0/8, got {value!r}"
        ) from None


def _to_bool(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise SettingsError(f"{where}: expected true or false, got {value!r}")


def _to_number(name: str, value: Any, where: str) -> int | float:
    kind: type[int] | type[float] = _TYPES[name]
    try:
        if isinstance(value, bool):
            raise ValueError  # noqa: TRY004, TRY301  TOML's true is no number
        number = kind(value)
        if isinstance(value, float) and number != value:
            raise ValueError  # noqa: TRY301  8188.5 is no port
    except (TypeError, ValueError):
        noun = "a whole number" if kind is int else "a number"
        raise SettingsError(f"{where}: expected {noun}, got {value!r}") from None
    low, high = _FIELDS[name].metadata["low"], _FIELDS[name].metadata["high"]
    # "not >=" instead of "<" refuses NaN as well.
    if (low is not None and not number >= low) or (high is not None and not number <= high):
        limits = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise SettingsError(f"{where}: expected {limits}, got {number!r}")
    return number


def _read_secret(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{name}: cannot read the token: {reason}") from error


def _check_token(token: str | None, name: str) -> None:
    if token is not None and (len(token) < MIN_TOKEN_CHARS or not token.isascii()):
        raise SettingsError(f"{name}: expected at least {MIN_TOKEN_CHARS} ASCII characters")
