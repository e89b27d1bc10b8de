"""The words of the messages, by language, from ``templates/<language>.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

LANGUAGES = ("zh", "en")
TEMPLATES = Path(__file__).parent / "templates"


class WordingError(Exception):
    """A file of words is not usable; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one language: short texts by name, value labels, level names."""

    language: str
    texts: dict[str, str]
    values: dict[str, str]
    levels: dict[int, str]

    def say(self, name: str, **numbers: object) -> str:
        """Return the text ``name`` with its placeholders filled."""
        return self.texts[name].format(**numbers)

    def duration(self, seconds: float) -> str:
        """Return a rounded span of time in words, from seconds to days."""
        for name, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
            if seconds >= 2 * length:
                return self.say(name, n=round(seconds / length))
        return self.say("seconds", n=round(seconds))


def load_wording(language: str, override: Path | None) -> Wording:
    """Read the words of ``language``; texts in ``override`` replace those that come with us.

    Raises :class:`WordingError` for a file that is no YAML mapping, and for a text whose
    placeholders are not those of the original.
    """
    words = _read(TEMPLATES / f"{language}.yaml")
    texts, values, levels = words["texts"], words["values"], words["levels"]
    own = override / f"{language}.yaml" if override else None
    if own is not None and own.is_file():
        theirs = _read(own)
        for name, text in theirs.get("texts", {}).items():
            if name not in texts:
                raise WordingError(f"{own}: texts.{name}: no such text: remove it")
            _same_placeholders(own, name, texts[name], str(text))
            texts[name] = str(text)
        values |= theirs.get("values", {})
        levels |= theirs.get("levels", {})
    return Wording(language, texts, values, {int(level): text for level, text in levels.items()})


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:  # 2026-13-45 is a ValueError
        raise WordingError(f"{path}: {error}") from None
    if not isinstance(data, dict) or not all(isinstance(part, dict) for part in data.values()):
        raise WordingError(f"{path}: must map texts, values and levels to names and words")
    return data


def _same_placeholders(path: Path, name: str, ours: str, theirs: str) -> None:
    """Refuse a text that would fail only when it is first needed."""
    known = {field for _, field, _, _ in Formatter().parse(ours) if field is not None}
    try:
        theirs.format(**dict.fromkeys(known, 1))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise WordingError(
            f"{path}: texts.{name}: placeholder {error} is not one of {ours!r}"
        ) from None
