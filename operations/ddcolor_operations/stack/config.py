"""The native stack's settings: which ports, where its state lies, what is switched on."""

from __future__ import annotations

import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ddcolor_operations.layout import project_root

HOST = "127.0.0.1"

DEFAULT_PORTS: Mapping[str, int] = {
    "elasticsearch": 9200,
    "elasticsearch_transport": 9300,
    "agent": 4318,
    "agent_grpc": 4317,
    "agent_health": 13133,
    "gateway": 14317,
    "gateway_health": 13134,
    "notifier": 8085,
    "service": 8188,
    "receivers": 8086,
    "receivers_smtp": 8025,
}
_EMBEDDED_PORTS = ("notifier", "service")
_RECEIVER_PORTS = ("receivers", "receivers_smtp")
_ENVIRONMENT_PREFIX = "DDCOLOR_OBS_"
_CONFIG_NAME = "ddcolor-obs.toml"


class ConfigError(Exception):
    """A setting is wrong; the message says which, where it was read and what would be right."""


@dataclass(frozen=True)
class StackConfig:
    """Settings of one stack; several run side by side with another ``state`` and ``port_offset``.

    ``demo`` adds the local receivers and switches the service's fault injection on. ``embedded``
    leaves out all that needs more than Python: Elasticsearch, the collectors and ElastAlert2, whose
    rules the log watcher runs instead; ``watcher`` runs it beside them.
    """

    state: Path
    port_offset: int = 0
    ports: Mapping[str, int] = field(default_factory=dict)
    demo: bool = False
    embedded: bool = False
    watcher: bool = False
    language: str = "zh"
    kibana_url: str = "http://127.0.0.1:5601"
    elasticsearch_heap: str = "512m"
    models: tuple[Path, ...] = ()
    notifier: Path | None = None

    @classmethod
    def create(
        cls,
        *,
        state: Path | None = None,
        config_file: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        **overrides: Any,
    ) -> StackConfig:
        """Merge the settings: ``overrides``, then ``DDCOLOR_OBS_*``, then the file, then defaults.

        Without ``config_file``, ``ddcolor-obs.toml`` in the working folder is read if it is there.
        Overrides that are None count as not given. Raises ConfigError.
        """
        values = _from_file(config_file) | _from_environment(environ)
        values |= {key: value for key, value in overrides.items() if value is not None}
        if state is not None:
            values["state"] = state
        values["state"] = Path(values.get("state") or default_state()).resolve()
        return cls(**_checked(values))

    @classmethod
    def load(cls, state: Path) -> StackConfig:
        """Read what :meth:`save` wrote. Raises FileNotFoundError when no stack was started."""
        values = json.loads((state / "run" / "config.json").read_text())
        return cls.create(config_file=Path(os.devnull), environ={}, **values)

    def save(self) -> None:
        """Write the settings where the supervisor reads them."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), default=str, indent=2)
        (self.run_dir / "config.json").write_text(text)

    def port(self, name: str) -> int:
        """Return the port of ``name``, a key of DEFAULT_PORTS."""
        return self.ports.get(name, DEFAULT_PORTS[name]) + self.port_offset

    @property
    def used_ports(self) -> list[str]:
        """The names of the ports that this stack listens on."""
        return [
            name
            for name in DEFAULT_PORTS
            if (self.demo if name in _RECEIVER_PORTS else not self.embedded)
            or name in _EMBEDDED_PORTS
        ]

    def url(self, name: str) -> str:
        """Return the HTTP address of ``name``, without a trailing slash."""
        return f"http://{HOST}:{self.port(name)}"

    @property
    def log_dir(self) -> Path:
        """The folder of all log files; the agent reads its ``*.jsonl*``."""
        return self.state / "log"

    @property
    def run_dir(self) -> Path:
        """The folder of rendered configurations and of what describes the running stack."""
        return self.state / "run"

    def data_dir(self, part: str) -> Path:
        """Return the folder in which ``part`` keeps its data."""
        return self.state / "data" / part

    @property
    def admin_token(self) -> str:
        """The service's admin token."""
        return self.ensure_admin_token().read_text().strip()

    def ensure_admin_token(self) -> Path:
        """Return the file with the service's admin token; made (mode 0600) at the first call."""
        file = self.state / "secrets" / "admin_token"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(32))
        return file


def default_state() -> Path:
    """Return the folder of the checkout's own stack."""
    return project_root() / ".state" / "default"


def _from_file(file: Path | None) -> dict[str, Any]:
    chosen = file or Path(_CONFIG_NAME)
    if file is None and not chosen.exists():
        return {}
    try:
        return tomllib.loads(chosen.read_text()) | {"_source": str(chosen)}
    except OSError as error:
        raise ConfigError(f"{chosen}: cannot be read ({error.strerror}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{chosen}: not valid TOML: {error}.") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in _SETTINGS:
        text = environ.get(_ENVIRONMENT_PREFIX + name.upper())
        if text is not None:
            values[name] = text.split(os.pathsep) if name == "models" else text
    ports = {
        port: environ[key]
        for port in DEFAULT_PORTS
        if (key := f"{_ENVIRONMENT_PREFIX}PORT_{port.upper()}") in environ
    }
    return values | ({"ports": ports} if ports else {})


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` with the types that StackConfig has. Raises ConfigError."""
    source = values.pop("_source", "settings")
    unknown = sorted(set(values) - _SETTINGS - {"ports"})
    if unknown:
        known = ", ".join(sorted(_SETTINGS | {"ports"}))
        raise ConfigError(f"{source}: unknown setting {', '.join(unknown)}; known are: {known}.")
    ports = values.get("ports", {})
    if unknown_ports := sorted(set(ports) - set(DEFAULT_PORTS)):
        raise ConfigError(
            f"{source}: unknown port {', '.join(unknown_ports)};"
            f" known are: {', '.join(DEFAULT_PORTS)}."
        )
    values["port_offset"] = _integer(source, "port_offset", values.get("port_offset", 0))
    values["ports"] = {name: _integer(source, f"ports.{name}", p) for name, p in ports.items()}
    for name, default in DEFAULT_PORTS.items():
        number = values["ports"].get(name, default) + values["port_offset"]
        if not 1 <= number <= 65535:
            raise ConfigError(f"{source}: port {name} would be {number}; it must be 1 to 65535.")
    for name in ("demo", "embedded", "watcher"):
        values[name] = _boolean(source, name, values.get(name, False))
    if values.get("language", "zh") not in {"zh", "en"}:
        raise ConfigError(f"{source}: language is {values['language']!r}; it must be zh or en.")
    values["models"] = tuple(Path(folder) for folder in values.get("models", ()))
    if values.get("notifier"):
        values["notifier"] = Path(values["notifier"])
    return values


def _integer(source: str, name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ConfigError(f"{source}: {name} is {value!r}; it must be a whole number.") from None


def _boolean(source: str, name: str, value: object) -> bool:
    text = str(value).lower()
    if text not in {"true", "false", "1", "0"}:
        raise ConfigError(f"{source}: {name} is {value!r}; it must be true or false.")
    return text in {"true", "1"}


_SETTINGS = {item.name for item in fields(StackConfig)} - {"ports"}
