"""Finds the nodes: our own, those of installed packages, those of folders.

A third party's node that cannot be loaded is reported and left out; photos are restored without it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from ddcolor_service.node_types import NodeClassError, NodeType, read_node_type
from ddcolor_service.nodes.colorize import DDColorColorize
from ddcolor_service.nodes.load_image import LoadImage
from ddcolor_service.nodes.save_image import PreviewImage, SaveImage
from ddcolor_service.nodes.services import NodeServices
from ddcolor_service.nodes.transform import ImageInvert, ImageScale, ImageScaleBy

ENTRY_POINTS = "ddcolor_service.nodes"

_OWN: tuple[tuple[str, type[Any], str], ...] = (
    ("LoadImage", LoadImage, "Load Image"),
    ("DDColor_Colorize", DDColorColorize, "DDColor Colorize"),
    ("SaveImage", SaveImage, "Save Image"),
    ("PreviewImage", PreviewImage, "Preview Image"),
    ("ImageScale", ImageScale, "Upscale Image"),
    ("ImageScaleBy", ImageScaleBy, "Upscale Image By"),
    ("ImageInvert", ImageInvert, "Invert Image"),
)


def load_nodes(services: NodeServices) -> dict[str, NodeType]:
    """Return every node by its class name; our own cannot be replaced."""
    types: dict[str, NodeType] = {}
    for name, cls, display_name in _OWN:
        # A subclass per service, so that two services in one process do not share a model.
        bound = type(cls.__name__, (cls,), {"services": services, "__module__": cls.__module__})
        types[name] = read_node_type(name, bound, display_name)
    log = services.telemetry.logger("ddcolor_service.nodes")
    for source, mappings in _third_party(services):
        if isinstance(mappings, Exception):
            log.warning(f"Third-party nodes {source} could not be loaded", exc_info=mappings)
            continue
        classes, titles = mappings
        for name, foreign in classes.items():
            try:
                if name in types:
                    raise NodeClassError(f"there is a node {name} already")  # noqa: TRY301
                types[name] = read_node_type(name, foreign, titles.get(name))
            except Exception as error:
                log.warning(f"Node {name} of {source} is left out", exc_info=error)
    return types


_Mappings = tuple[Mapping[str, object], Mapping[str, str]]


def _third_party(services: NodeServices) -> Iterator[tuple[str, _Mappings | Exception]]:
    """Yield (name of the source, its mappings or why there are none)."""
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            yield entry.name, _mappings(entry.load())
        except Exception as error:  # noqa: BLE001  importing foreign code may raise anything
            yield entry.name, error
    for folder in services.settings.nodes:
        for path in _modules(folder):
            try:
                yield path.name, _mappings(_import(path))
            except (Exception, SystemExit) as error:  # noqa: BLE001  as above
                yield path.name, Exception(str(error)) if isinstance(error, SystemExit) else error


def _modules(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith((".", "_")) or path.name.endswith(".disabled"):
            continue
        if path.suffix == ".py" or (path / "__init__.py").is_file():
            yield path


def _import(path: Path) -> ModuleType:
    name = f"ddcolor_third_party_{path.stem}"
    package = path.is_dir()
    spec = importlib.util.spec_from_file_location(
        name,
        path / "__init__.py" if package else path,
        submodule_search_locations=[str(path)] if package else None,
    )
    if spec is None or spec.loader is None:
        raise ImportError("this is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _mappings(loaded: object) -> _Mappings:
    """Read ComfyUI's ``NODE_CLASS_MAPPINGS`` from a module, or take a plain mapping."""
    classes = (
        loaded if isinstance(loaded, Mapping) else getattr(loaded, "NODE_CLASS_MAPPINGS", None)
    )
    if not isinstance(classes, Mapping):
        raise NodeClassError("there is no NODE_CLASS_MAPPINGS")
    titles = getattr(loaded, "NODE_DISPLAY_NAME_MAPPINGS", {})
    return classes, titles if isinstance(titles, Mapping) else {}
