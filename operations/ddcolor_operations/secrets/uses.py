"""Who uses which secret: the references in configuration files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from ddcolor_operations.secrets.errors import StoreError

#: The key of a reference by name: ``webhook: {secret: wecom_webhook}``.
REFERENCE: Final = "secret"


def uses(file: Path) -> dict[str, list[str]]:
    """Return for each secret that the YAML ``file`` names its places there; raises StoreError.

    A place is the file's name and the setting's dotted name.
    """
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}: name a readable file") from None
    except (UnicodeDecodeError, yaml.YAMLError):
        # The parser quotes the line that it cannot read.
        raise StoreError(f"{file}: not YAML") from None
    found: dict[str, list[str]] = {}
    for name, setting in _references(data, ""):
        found.setdefault(name, []).append(f"{file.name}: {setting}")
    return found


def _references(data: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        name = data.get(REFERENCE)
        if len(data) == 1 and isinstance(name, str):
            yield name, where
            return
        for key, value in data.items():
            yield from _references(value, f"{where}.{key}" if where else str(key))
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from _references(value, f"{where}[{at}]")
