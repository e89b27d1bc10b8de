"""Read a YAML mapping field by field, with errors that name the field and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ddcolor_operations.notifier.secrets import Secret, SecretError, SecretReader, parse_secret


class ConfigError(Exception):
    """The configuration is not usable; the text says what, where and what to do."""


class Section:
    """One mapping of the configuration; remembers what was read to find misspelt names."""

    def __init__(
        self, data: object, where: str, *, base: Path, secrets: Mapping[str, SecretReader]
    ) -> None:
        if data is None:
            data = {}
        if not isinstance(data, dict) or not all(isinstance(key, str | int) for key in data):
            raise ConfigError(f"{where or 'the file'}: must be a mapping of names to values")
        self._data: dict[str, object] = {str(key): value for key, value in data.items()}
        self._where = where
        self._base = base
        self._secrets = secrets
        self._known: set[str] = set()

    def where(self, name: str) -> str:
        """Return the full dotted name of a field, for an error."""
        return f"{self._where}.{name}" if self._where else name

    def names(self) -> list[str]:
        """Return the names present."""
        return list(self._data)

    def has(self, name: str) -> bool:
        """Tell whether a field is present and not null."""
        return self._get(name) is not None

    def section(self, name: str) -> Section:
        """Return a nested mapping, empty when absent."""
        return Section(self._get(name), self.where(name), base=self._base, secrets=self._secrets)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a default the field is required."""
        value = self._get(name)
        if value is None:
            value = default
        if not isinstance(value, str) or (default is None and not value):
            raise ConfigError(f"{self.where(name)}: a text is needed")
        return value

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        """Return one of ``options``."""
        value = self.text(name, default)
        if value not in options:
            raise ConfigError(f"{self.where(name)}: {value!r} is none of {', '.join(options)}")
        return value

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """Return a number within ``low`` and ``high``."""
        value = self._get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{self.where(name)}: a number is needed, not {value!r}")
        if not low <= value <= high:
            raise ConfigError(f"{self.where(name)}: {value} is not within {low:g} and {high:g}")
        return value

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number within ``low`` and ``high``."""
        value = self.number(name, default, low=low, high=high)
        if value != int(value):
            raise ConfigError(f"{self.where(name)}: a whole number is needed, not {value}")
        return int(value)

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ConfigError(f"{self.where(name)}: true or false is needed, not {value!r}")
        return value

    def minutes(self, name: str) -> int | None:
        """Return a time of day that YAML has read as minutes since midnight; None for others."""
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1440:
            return None
        return value

    def zone(self, name: str) -> tzinfo | None:
        """Return a time zone by its name, as Asia/Shanghai; None when absent."""
        value = self.text(name, "")
        if not value:
            return None
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"{self.where(name)}: {value!r} is unknown: give a name as Asia/Shanghai"
            ) from None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, empty when absent."""
        value = self._get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(
                f"{self.where(name)}: a list of texts is needed (put numbers in quotes)"
            )
        return tuple(value)

    def mappings(self, name: str) -> tuple[Section, ...]:
        """Return a list of mappings, empty when absent."""
        value = self._get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise ConfigError(f"{self.where(name)}: a list is needed")
        return tuple(
            Section(item, f"{self.where(name)}[{at}]", base=self._base, secrets=self._secrets)
            for at, item in enumerate(value)
        )

    def path(self, name: str) -> Path | None:
        """Return a path, relative to the configuration file's folder; None when absent."""
        return (self._base / self.text(name)) if self.has(name) else None

    def secret(self, name: str) -> Secret:
        """Return a required secret by its reference; it must be readable now."""
        try:
            secret = parse_secret(self._get(name), self.where(name), self._secrets)
            secret.reveal()
        except SecretError as error:
            prefix = "" if str(error).startswith(self.where(name)) else f"{self.where(name)}: "
            raise ConfigError(f"{prefix}{error}") from None
        return secret

    def done(self) -> None:
        """Refuse what nobody asked for: a misspelt name must not be silently without effect."""
        for name in self._data:
            if name not in self._known:
                close = difflib.get_close_matches(name, self._known, n=1)
                hint = f": did you mean {close[0]!r}?" if close else ": remove it"
                raise ConfigError(f"{self.where(name)}: unknown setting{hint}")

    def _get(self, name: str) -> object:
        self._known.add(name)
        return self._data.get(name)
