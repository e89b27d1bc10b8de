"""Put the pack into ComfyUI's ``custom_nodes`` and take it out again."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddcolor_operations.layout import project_root

FOLDER = "comfyui_ddcolor_telemetry"
SETTINGS = "settings.json"
# What a folder must hold to be a ComfyUI of any version.
_PARTS = ("execution.py", "server.py", "nodes.py", "custom_nodes")
_MARK = "comfyui_telemetry.comfyui"


class PackError(Exception):
    """The pack cannot be put in or taken out; the text says why and what to do."""


def pack_source() -> Path:
    """Return the folder to copy: in the installed package, else in the checkout.

    Errors: ``PackError`` if neither has it.
    """
    places = (
        Path(__file__).with_name("custom_node") / FOLDER,
        project_root() / "instrumentation" / "custom_node" / FOLDER,
    )
    for place in places:
        if (place / "__init__.py").is_file():
            return place
    raise PackError(
        f"the folder {FOLDER} is in none of {', '.join(map(str, places))}: reinstall the package"
        " or set DDCOLOR_OBS_HOME to a checkout"
    )


def install_pack(comfyui: Path, settings: Mapping[str, Any]) -> Path:
    """Copy the pack into a ComfyUI folder and return where it lies.

    One that is there is replaced; of its settings those stay that ``settings`` does not name.
    Errors: ``PackError`` if ``comfyui`` is no ComfyUI or cannot be written.
    """
    target = _target(comfyui)
    if target.is_symlink() or (target.exists() and not _is_ours(target)):
        raise PackError(f"{target} is there and is not this pack: move it away first")
    merged = {**_settings_of(target), **settings}
    try:
        target.mkdir(exist_ok=True)
        for file in sorted(pack_source().glob("*.py")):
            shutil.copyfile(file, target / file.name)
        if merged:
            text = json.dumps(merged, indent=2, ensure_ascii=False) + "\n"
            (target / SETTINGS).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PackError(f"{target} cannot be written: {error.strerror}") from error
    return target


def uninstall_pack(comfyui: Path) -> Path:
    """Delete the pack from a ComfyUI folder and return where it lay.

    Errors: ``PackError`` if it is not there, or something else has its name.
    """
    target = _target(comfyui)
    if not target.is_dir():
        raise PackError(f"{target} is not there: nothing to take out")
    if target.is_symlink() or not _is_ours(target):
        raise PackError(f"{target} is not this pack: it is left where it is")
    try:
        shutil.rmtree(target)
    except OSError as error:
        raise PackError(f"{target} cannot be deleted: {error.strerror}") from error
    return target


def python_of(comfyui: Path) -> str:
    """Return the Python that most likely runs this ComfyUI, to name in what is said next."""
    for place in ("venv/bin/python", ".venv/bin/python", "../python_embeded/python.exe"):
        if (comfyui / place).exists():
            return str(comfyui / place)
    return sys.executable if _runs_here(comfyui) else "python"


def _runs_here(comfyui: Path) -> bool:
    return Path(sys.prefix).resolve().is_relative_to(comfyui.resolve())


def _target(comfyui: Path) -> Path:
    missing = [part for part in _PARTS if not (comfyui / part).exists()]
    if missing:
        raise PackError(
            f"{comfyui} is no ComfyUI folder: it has no {', '.join(missing)}. Give the folder"
            " that holds main.py"
        )
    return comfyui / "custom_nodes" / FOLDER


def _is_ours(target: Path) -> bool:
    try:
        return _MARK in (target / "__init__.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return not any(target.iterdir()) if target.is_dir() else False


def _settings_of(target: Path) -> dict[str, Any]:
    path = target / SETTINGS
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackError(f"{path} cannot be read ({error}): correct or delete it first") from error
    return told if isinstance(told, dict) else {}
