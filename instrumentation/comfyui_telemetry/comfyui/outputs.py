"""Look at the pictures that a prompt saved, on a thread of its own.

ComfyUI restores and saves a truncated photo without a word, and NaN in a model makes a black
picture of a success. The check reads what was saved; it neither waits for nor changes anything.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import _losses
from .._losses import Losses, guarded
from ..recorder import NodeRecord
from ._running import RunningPrompt

MODES = ("photos", "all", "off")
_WAITING = 64
_LARGEST_PIXELS = 64_000_000
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


class OutputCheck:
    """Checks saved pictures one after the other; more than 64 waiting ones are left unchecked.

    ``mode`` ``photos``: a picture of one colour is damage only if it was made from a photo that
    somebody gave the prompt, because a drawn one may be meant so. ``all``: always. An empty or
    unreadable file is damage in both.
    """

    def __init__(self, losses: Losses, mode: str = "photos") -> None:
        self.losses = losses
        self._mode = mode
        self._waiting: queue.Queue[tuple[NodeRecord, Path, bool] | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None

    @guarded
    def look_at(self, prompt: RunningPrompt) -> None:
        """Take the pictures that the nodes of a finished prompt saved."""
        folder = _output_folder()
        if folder is None:
            return
        for node, shown in prompt.saved():
            may_be_plain = self._mode == "photos" and not prompt.shows_photo(node.node_id)
            for path in _saved_files(folder, shown):
                self._put((node, path, may_be_plain))

    def close(self, timeout_s: float = 2.0) -> None:
        """Check what waits and end the thread, within ``timeout_s`` seconds."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._put(None)
            thread.join(timeout_s)

    def _put(self, work: tuple[NodeRecord, Path, bool] | None) -> None:
        if work is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="telemetry-outputs", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(work)
        except queue.Full:
            self.losses.add(_losses.INTERNAL_ERROR, 0, "saved pictures are left unchecked")

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            self._check(*work)

    @guarded
    def _check(self, node: NodeRecord, path: Path, may_be_plain: bool) -> None:
        reason = fault_of(path, may_be_plain=may_be_plain)
        if reason is not None:
            node.output_damaged(f"{path.suffix[1:].upper()} file {reason}")


def fault_of(path: Path, *, may_be_plain: bool = False) -> str | None:
    """Return what is wrong with a picture file, None if nothing is found.

    ``may_be_plain`` allows a picture of one colour. A file that is gone is no fault: previews and
    outputs may be fetched and deleted.
    """
    from PIL import Image

    try:
        if path.stat().st_size == 0:
            return "is empty"
        with Image.open(path) as picture:
            if picture.width * picture.height > _LARGEST_PIXELS:
                return None
            extrema = picture.convert("RGB").getextrema()
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever the decoder says
        return f"cannot be read ({type(error).__name__})"
    bands = [band for band in extrema if isinstance(band, tuple)]
    if may_be_plain or any(low != high for low, high in bands):
        return None
    return "is black all over" if all(high == 0 for _, high in bands) else "is of one colour"


def _output_folder() -> Path | None:
    module = sys.modules.get("folder_paths")
    return Path(module.get_output_directory()).resolve() if module is not None else None


def _saved_files(folder: Path, shown: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the files in the output folder that a node told the user interface of."""
    for image in shown.get("images") or ():
        if not isinstance(image, Mapping) or image.get("type") != "output":
            continue
        path = (folder / str(image.get("subfolder", "")) / str(image.get("filename", ""))).resolve()
        if path.suffix.lower() in _SUFFIXES and path.is_relative_to(folder):
            yield path
