"""The notifier's configuration: one YAML file, with a few environment overrides."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.channels import make_channel
from ddcolor_operations.notifier.channels.base import Channel
from ddcolor_operations.notifier.deliveries import RetryPolicy
from ddcolor_operations.notifier.links import Kibana
from ddcolor_operations.notifier.outbox import RECORD
from ddcolor_operations.notifier.secrets import readers
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

_DEFAULT_LEVELS: Mapping[str, tuple[str, ...]] = {
    "1": (RECORD,),
    "2": ("wecom", "dingtalk"),
    "3": ("wecom", "dingtalk", "sms", "mail"),
}


_PATHS = frozenset({"data_dir", "log_file"})
# One word for a search engine, so that a name in a log message is never a keyword of a rule.
_CHANNEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that match every pattern go to ``channels``, whatever their level says."""

    patterns: Mapping[str, str]
    channels: tuple[str, ...]

    def matches(self, alert: Alert) -> bool:
        """Tell whether the alert is one of this route's."""
        facts = {
            "service": alert.service,
            "kind": alert.kind,
            "rule": alert.rule,
            "level": str(alert.level),
        }
        return all(fnmatch.fnmatchcase(facts[f], p) for f, p in self.patterns.items())


@dataclass(frozen=True, slots=True)
class Routing:
    """Which channels an alert goes to: the first route that matches, else its level's."""

    levels: Mapping[int, tuple[str, ...]]
    routes: tuple[Route, ...]

    def channels(self, alert: Alert) -> tuple[str, ...]:
        """Return the names of the channels, at least ``record``."""
        for route in self.routes:
            if route.matches(alert):
                return route.channels
        return self.levels[alert.level]


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
    window_s: float
    quiet_s: float
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
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    try:
        return _config(data, path, os.environ if environment is None else environment)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _config(data: object, path: Path, environment: Mapping[str, str]) -> Config:
    base = path.resolve().parent
    if data is None:
        data = {}
    if isinstance(data, dict):
        data = data | _overrides(environment)
    top = Section(data, "", base=base, secrets=readers(base))
    channels = _channels(top.section("channels"))
    dedupe, digest, retry = top.section("deduplicate"), top.section("digest"), top.section("retry")
    kibana_url = top.text("kibana_url", "")
    window_s = dedupe.number("window_s", 300, low=0, high=86400)
    config = Config(
        host=top.text("host", "127.0.0.1"),
        port=top.integer("port", 8085, low=0, high=65535),
        data_dir=top.path("data_dir") or base / "notifier-data",
        log_file=top.path("log_file"),
        language=top.choice("language", LANGUAGES, "zh"),
        zone=_zone(top),
        kibana=(
            Kibana(
                kibana_url,
                top.text("kibana_logs_view", "ddcolor-logs"),
                top.text("kibana_traces_view", "ddcolor-traces"),
            )
            if kibana_url
            else None
        ),
        templates_dir=_folder(top, "templates_dir"),
        window_s=window_s,
        # Shorter than the window, a fault would be called over while it is held back.
        quiet_s=top.number("quiet_s", max(600, window_s), low=window_s, high=7 * 86400),
        digest_from=digest.integer("from", 5, low=2, high=500),
        keep_s=top.number("keep_days", 30, low=0.01, high=3650) * 86400,
        retry=RetryPolicy(
            first_s=retry.number("first_s", 1, low=0.01, high=600),
            cap_s=retry.number("cap_s", 60, low=0.01, high=3600),
            give_up_after_s=retry.number("give_up_after_s", 86400, low=0, high=30 * 86400),
        ),
        channels=channels,
        routing=_routing(top.section("routing"), channels),
    )
    # Named even when there is no kibana_url, so that they are not taken for misspelt.
    top.text("kibana_logs_view", "")
    top.text("kibana_traces_view", "")
    for section in (dedupe, digest, retry, top):
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


def _routing(section: Section, channels: Mapping[str, Channel]) -> Routing:
    levels_given = section.section("levels")
    levels: dict[int, tuple[str, ...]] = {}
    for level, default in _DEFAULT_LEVELS.items():
        if levels_given.has(level):
            names = levels_given.texts(level)
            _check_channels(levels_given.where(level), names, channels)
        else:
            # The defaults name the usual channels; those that are set up are used.
            names = tuple(name for name in default if name == RECORD or name in channels)
        levels[int(level)] = names or (RECORD,)
    levels_given.done()
    routes = []
    for entry in section.mappings("routes"):
        match = entry.section("match")
        patterns = {
            field: match.text(field)
            for field in ("service", "kind", "rule", "level")
            if match.has(field)
        }
        match.done()
        names = entry.texts("channels")
        entry.done()
        if not patterns or not names:
            raise ConfigError(f"{entry.where('match')}: give at least one pattern and one channel")
        _check_channels(entry.where("channels"), names, channels)
        routes.append(Route(patterns, names))
    section.done()
    return Routing(levels, tuple(routes))


def _check_channels(where: str, names: Sequence[str], channels: Mapping[str, Channel]) -> None:
    for name in names:
        if name != RECORD and name not in channels:
            known = ", ".join([RECORD, *channels])
            raise ConfigError(f"{where}: channel {name!r} is not set up: use one of {known}")


def _zone(top: Section) -> tzinfo:
    name = top.text("timezone", "")
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"timezone: {name!r} is unknown: give a name as Asia/Shanghai"
            ) from None
    local = datetime.now().astimezone().tzinfo
    if local is None:  # pragma: no cover - astimezone() always sets one
        raise ConfigError("timezone: the machine has none: set it")
    return local


def _folder(top: Section, name: str) -> Path | None:
    path = top.path(name)
    if path is not None and not path.is_dir():
        raise ConfigError(f"{name}: {path} is not a folder")
    return path
