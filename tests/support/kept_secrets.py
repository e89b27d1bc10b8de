"""A notifier's secrets as an operator keeps them: in the encrypted store, not in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ddcolor_operations.secrets.store import SecretStore, open_store


def store_in(folder: Path) -> tuple[SecretStore, dict[str, str]]:
    """Return a store with its key in ``folder``, and the environment that leads to it."""
    environment = {
        "DDCOLOR_SECRETS_STORE": str(folder / "secrets.json"),
        "DDCOLOR_SECRETS_KEY_FILE": str(folder / "secrets.key"),
    }
    return open_store(environment), environment


def moved(settings: Any, base: Path, store: SecretStore) -> Any:
    """Return the settings with each secret file's content in ``store``, named after the file."""
    if not isinstance(settings, dict):
        return settings
    if settings.keys() != {"file"}:
        return {name: moved(value, base, store) for name, value in settings.items()}
    file = base / settings["file"]
    name = file.name.replace(".", "_")
    store.set(name, file.read_text(encoding="utf-8").strip())
    return {"secret": name}
