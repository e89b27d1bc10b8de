"""The notifier's configuration: one YAML file, with a few environment overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

import yaml

from ddcolor_operations.notifier.channels import make_channel
from ddcolor_operations.notifier.channels.base import Channel
from ddcolor_operations.notifier.deliveries import RetryPolicy
from ddcolor_operations.notifier.links import Kibana
from ddcolor_operations.notifier.outbox import RECORD
from ddcolor_operations.notifier.routing import Routing, read_routing
from ddcolor_operations.notifier.secrets import Secret, readers
from ddcolor_operations.notifier.settings import ConfigError, Section
from ddcolor_operations.notifier.wording import LANGUAGES

#: Environment variable -> the setting that it replaces.
OVERRIDES: Mapping[str, str] = {
    "DDCOLOR_NOTIFIER_HOST": "host",
    "DDCOLOR_NOTIFIER_PORT": "port",
    "DDCOLOR_NOTIFIER_DATA_DIR": "data_dir",
    "DDCOLOR_NOTIFIER_LOG_FILE": "log_file",
    "DDCOLOR_NOTIFIER_LANGUAGE": "language",
    "DDCOLOR_NOTIFIER_TIMEZONE": "timezone",
    "DDCOLOR_NOTIFIER_KIBANA_URL": "kibana_url",
}

_PATHS = frozenset({"data_dir", "log_file"})
# One word for a search engine, so that a name in a log message is never a keyword of a rule.
_CHANNEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class WatchdogSettings:
    """How the watchdog watches (s), and the channels by which it says that the notifier is dead."""

    every_s: float
    dead_after_s: float
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the notifier is told; see docs/alerts.md for each setting."""

    host: str
    port: int
    data_dir: Path
    log_file: Path | None
    language: str
    zone: tzinfo
    kibana: Kibana | None
    templates_dir: Path | None
    api_token: Secret | None
    window_s: float
    quiet_s: float
    path_silent_s: float
    watchdog: WatchdogSettings
    digest_from: int
    keep_s: float
    retry: RetryPolicy
    channels: Mapping[str, Channel]
    routing: Routing


def load_config(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read ``path``; raises :class:`ConfigError` that says what, where and what to do."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: name a readable file") from None
    except (ValueError, yaml.YAMLError) as error:  # a date as 2026-13-45 is a ValueError
        raise ConfigError(f"{path}: not YAML: {error}") from None
    try:
        return _config(data, path, os.environ if environment is None else environment)
    except ConfigError as error:
        raise ConfigError(f"{path}{_line_of(path, str(error))}: {error}") from None


def _line_of(path: Path, error: str) -> str:
    """Return ``:LINE`` of the setting with whose dotted name ``error`` begins, or nothing."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = ""
    for part in re.findall(r"[^.\[\]]+", error.partition(": ")[0]):
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit():
            entry = node.value[int(part)]
            found = (entry, entry)
        if found is None:
            # What is missing would stand in the part that was found last.
            return line
        line, node = f":{found[0].start_mark.line + 1}", found[1]
    return line


def _config(data: object, path: Path, environment: Mapping[str, str]) -> Config:
    base = path.resolve().parent
    if data is None:
        data = {}
    if isinstance(data, dict):
        data = data | _overrides(environment)
    top = Section(data, "", base=base, secrets=readers(base))
    zone, channels = _zone(top), _channels(top.section("channels"))
    dedupe, digest, retry = top.section("deduplicate"), top.section("digest"), top.section("retry")
    kibana_url = top.text("kibana_url", "")
    heartbeats, watchdog = top.section("heartbeats"), top.section("watchdog")
    window_s = dedupe.number("window_s", 300, low=0, high=86400)
    # Shorter than the window, a fault would be called over while it is held back.
    quiet_s = top.number("quiet_s", max(600, window_s), low=window_s, high=7 * 86400)
    config = Config(
        host=top.text("host", "127.0.0.1"),
        port=top.integer("port", 8085, low=0, high=65535),
        data_dir=top.path("data_dir") or base / "notifier-data",
        log_file=top.path("log_file"),
        language=top.choice("language", LANGUAGES, "zh"),
        zone=zone,
        kibana=(
            Kibana(
                kibana_url,
                top.text("kibana_logs_view", "ddcolor-logs"),
                top.text("kibana_prompt_dashboard", "ddcolor-prompt"),
            )
            if kibana_url
            else None
        ),
        templates_dir=_folder(top, "templates_dir"),
        api_token=top.secret("api_token") if top.has("api_token") else None,
        window_s=window_s,
        quiet_s=quiet_s,
        path_silent_s=heartbeats.number("silent_after_s", 120, low=0.1, high=86400),
        watchdog=WatchdogSettings(
            every_s=watchdog.number("every_s", 10, low=0.1, high=3600),
            dead_after_s=watchdog.number("dead_after_s", 60, low=0.1, high=86400),
            channels=_watchdog_channels(watchdog, channels),
        ),
        digest_from=digest.integer("from", 5, low=2, high=500),
        keep_s=top.number("keep_days", 30, low=0.01, high=3650) * 86400,
        retry=RetryPolicy(
            first_s=retry.number("first_s", 1, low=0.01, high=600),
            cap_s=retry.number("cap_s", 60, low=0.01, high=3600),
            give_up_after_s=retry.number("give_up_after_s", 86400, low=0, high=30 * 86400),
        ),
        channels=channels,
        routing=read_routing(top.section("routing"), channels, zone, quiet_s),
    )
    # Named even when there is no kibana_url, so that they are not taken for misspelt.
    top.text("kibana_logs_view", "")
    top.text("kibana_prompt_dashboard", "")
    for section in (dedupe, digest, retry, heartbeats, watchdog, top):
        section.done()
    return config


def _overrides(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for variable, setting in OVERRIDES.items():
        value = environment.get(variable)
        if not value:
            continue
        if setting == "port":
            if not value.isascii() or not value.isdigit():
                raise ConfigError(f"{variable}: {value!r} is not a port number")
            found[setting] = int(value)
        else:
            found[setting] = str(Path(value).resolve()) if setting in _PATHS else value
    return found


def _channels(section: Section) -> dict[str, Channel]:
    if section.has(RECORD):
        raise ConfigError(f"{section.where(RECORD)}: this channel is always there: remove it")
    for name in section.names():
        if _CHANNEL_NAME.fullmatch(name) is None:
            raise ConfigError(
                f"{section.where(name)}: a channel's name is a lower-case letter, then letters,"
                " digits or _"
            )
    return {name: make_channel(name, section.section(name)) for name in section.names()}


def _watchdog_channels(section: Section, channels: Mapping[str, Channel]) -> tuple[str, ...]:
    """Return the channels that are named, else all that people read."""
    if not section.has("channels"):
        return tuple(name for name, channel in channels.items() if channel.hears_end)
    names = section.texts("channels")
    for name in names:
        if name not in channels:
            raise ConfigError(
                f"{section.where('channels')}: channel {name!r} is not set up: use one of"
                f" {', '.join(channels)}"
            )
    return names


def _zone(top: Section) -> tzinfo:
    given = top.zone("timezone")
    if given is not None:
        return given
    local = datetime.now().astimezone().tzinfo
    if local is None:  # pragma: no cover - astimezone() always sets one
        raise ConfigError("timezone: the machine has none: set it")
    return local


def _folder(top: Section, name: str) -> Path | None:
    path = top.path(name)
    if path is not None and not path.is_dir():
        raise ConfigError(f"{name}: {path} is not a folder")
    return path
