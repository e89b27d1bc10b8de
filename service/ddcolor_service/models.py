"""The checkpoints that the service knows, loaded when first asked for."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from ddcolor_service.checkpoints import ModelNotLoaded, build_network, read_checkpoint
from ddcolor_service.colorize import Check, Image, colorize
from ddcolor_service.folders import FileState, file_state
from ddcolor_service.network import DDColor, DDColorConfig

OFFICIAL = (
    "ddcolor_modelscope.pth",
    "ddcolor_paper.pth",
    "ddcolor_artistic.pth",
    "ddcolor_paper_tiny.pth",
)
DEMO_NAME = "ddcolor_demo.pth"
ASSETS = Path(__file__).with_name("assets")

__all__ = ["DEMO_NAME", "OFFICIAL", "LoadedModel", "ModelNotLoaded", "ModelRegistry", "device_of"]


def device_of(asked: str) -> torch.device:
    """Return the device for ``auto``, ``cuda``, ``cuda:N``, ``mps`` or ``cpu``.

    Raises:
        ValueError: the name is unknown, or this machine or PyTorch build has no such device.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        device = torch.device("meta")
    there = {
        "cpu": True,
        "cuda": 0 <= (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if device.type not in there:
        raise ValueError(f"device {asked!r} is unknown: use auto, cuda, cuda:N, mps or cpu")
    if not there[device.type]:
        raise ValueError(f"device {asked!r} is not available here: use auto or cpu")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network ready to work, and where it came from.

    ``load_seconds`` is what loading took, whenever that was; ``loaded_now`` says that the call
    which returned this object did it. ``problem`` is set when the file changed after loading and
    could not be loaded again: the earlier weights go on working.
    """

    name: str
    variant: str
    sha256: str
    parameters: int
    load_seconds: float
    device: str
    loaded_now: bool
    problem: str | None
    config: DDColorConfig
    network: DDColor = field(repr=False)
    _busy: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def colorize(self, image: Image, input_size: int, *, check: Check | None = None) -> Image:
        """Colour ``image``, float32 RGB in 0..1, (H, W, 3) or (N, H, W, 3); same shape returned.

        One call at a time works on a model; others wait. See ``colorize.colorize`` for the
        arguments and errors.
        """
        with self._busy:
            if self.network.mean.is_cuda:
                torch.cuda.reset_peak_memory_stats(self.network.mean.device)
            return colorize(self.network, image, input_size, check=check)

    def peak_device_bytes(self) -> int | None:
        """Highest memory of the device since the last ``colorize`` began; None if not CUDA."""
        device = self.network.mean.device
        return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


@dataclass(slots=True)
class _Entry:
    model: LoadedModel
    seen: FileState | None


class ModelRegistry:
    """Finds, loads and keeps checkpoints. Safe to use from several threads.

    ``folders`` are searched in order; the demo weights that ship with the package are found last,
    so a file of that name in a folder goes before them.
    """

    def __init__(self, folders: Sequence[Path], device: str = "auto") -> None:
        self._folders = (*folders, ASSETS)
        self.device = device_of(device)
        self._entries: dict[str, _Entry] = {}
        self._broken: dict[str, FileState | None] = {}
        self._loading = threading.Lock()
        self.refused: Callable[[str, ModelNotLoaded], None] = lambda _name, _error: None
        """Told once of each state of a file that could not take the place of loaded weights."""

    def names(self) -> list[str]:
        """Return every name that may be asked for: official, demo, and own files found."""
        return self._named(self._found())

    @staticmethod
    def _named(found: set[str]) -> list[str]:
        return [*OFFICIAL, DEMO_NAME, *sorted(found - {*OFFICIAL, DEMO_NAME})]

    def available(self) -> list[str]:
        """Return the names whose file is there now."""
        found = self._found()
        return [name for name in self._named(found) if name in found]

    def usable(self) -> list[str]:
        """Return the available names but those whose file, as it is, could not be loaded."""
        return [
            name
            for name in self.available()
            if name in self._entries
            or name not in self._broken
            or self._broken[name] != _signature(self._find(name))
        ]

    def state_of(self, name: str) -> str:
        """Return a text that changes with the checkpoint's file, without reading it."""
        return repr(_signature(self._find(name)))

    def is_current(self, name: str) -> bool:
        """Say whether :meth:`get` has nothing to load: the file is as it was when last seen."""
        entry = self._entries.get(name)
        return entry is not None and entry.seen == _signature(self._find(name))

    def loaded(self) -> list[LoadedModel]:
        """Return the models in memory."""
        return [replace(e.model, loaded_now=False) for e in list(self._entries.values())]

    def get(self, name: str) -> LoadedModel:
        """Return the model, loading it if it is not in memory or its file changed since.

        A changed file that cannot be loaded leaves the earlier weights at work, with ``problem``
        set, and is tried again when it changes once more.

        Raises:
            ModelNotLoaded: no such checkpoint, or it cannot be used.
            MemoryError, torch.OutOfMemoryError: no room for it.
        """
        with self._loading:
            entry = self._entries.get(name)
            path = self._find(name)
            seen = _signature(path)
            if entry is None:
                return self._load(name, path, seen)
            if entry.seen != seen:
                try:
                    return self._load(name, path, seen)
                except ModelNotLoaded as error:
                    self._refuse(entry, seen, error)
            return replace(entry.model, loaded_now=False)

    def reload(self, name: str) -> LoadedModel:
        """Load the file again even if it did not change. On failure the earlier weights stay.

        Raises:
            As ``get``.
        """
        with self._loading:
            path = self._find(name)
            seen = _signature(path)
            try:
                return self._load(name, path, seen)
            except ModelNotLoaded as error:
                if entry := self._entries.get(name):
                    self._refuse(entry, seen, error)
                raise

    def _refuse(self, entry: _Entry, seen: FileState | None, error: ModelNotLoaded) -> None:
        """Let the earlier weights go on, and say so unless it was said of this very file."""
        said = entry.model.problem is not None and entry.seen == seen
        entry.seen = seen
        entry.model = replace(entry.model, problem=str(error))
        if not said:
            self.refused(entry.model.name, error)

    def unload(self, name: str | None = None) -> list[str]:
        """Drop one model, or all, from memory; return the names dropped."""
        with self._loading:
            dropped = [n for n in self._entries if name in (None, n)]
            for each in dropped:
                del self._entries[each]
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()
        return dropped

    def _load(self, name: str, path: Path | None, seen: FileState | None) -> LoadedModel:
        if path is None:
            raise ModelNotLoaded(
                name,
                "no such file in the model folders",
                "Put the checkpoint there, or choose another one",
            )
        started = time.perf_counter()
        try:
            checkpoint = read_checkpoint(path)
        except ModelNotLoaded:
            self._broken[name] = seen
            raise
        self._broken.pop(name, None)
        network = build_network(checkpoint, self.device)
        model = LoadedModel(
            name=name,
            variant=checkpoint.variant,
            sha256=checkpoint.sha256,
            parameters=sum(p.numel() for p in network.parameters()),
            load_seconds=time.perf_counter() - started,
            device=str(self.device),
            loaded_now=True,
            problem=None,
            config=checkpoint.config,
            network=network,
        )
        self._entries[name] = _Entry(model, seen)
        return model

    def _found(self) -> set[str]:
        names: set[str] = set()
        for folder in self._folders:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                names.update(e.name for e in entries if e.name.endswith(".pth") and e.is_file())
        return names

    def _find(self, name: str) -> Path | None:
        # Names come from strangers: one that leads elsewhere is none.
        if Path(name).name != name or "\0" in name or not name.endswith(".pth"):
            return None
        return next((path for f in self._folders if (path := f / name).is_file()), None)


def _signature(path: Path | None) -> FileState | None:
    return None if path is None else file_state(path)
