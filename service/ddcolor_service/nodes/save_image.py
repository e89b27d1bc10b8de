"""SaveImage and PreviewImage: an IMAGE becomes PNG files that ``/view`` serves."""

from __future__ import annotations

import io
import os
import re
import threading
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ddcolor_service.checks import check_finite
from ddcolor_service.errors import OutputDamagedError
from ddcolor_service.execution import current_run
from ddcolor_service.folders import FolderType, write_partial
from ddcolor_service.nodes.services import NodeServices

_COUNTER = re.compile(r"_(\d{5,})_?\.png$")
_numbering = threading.Lock()


class SaveImage:
    """Writes pictures as ``<prefix>_00001_.png`` into the output folder."""

    services: ClassVar[NodeServices]

    CATEGORY = "image"
    RETURN_TYPES = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    folder: ClassVar[FolderType] = "output"
    # ComfyUI's 4 takes twice the time, and photographs come out larger with Pillow's zlib-ng.
    compress_level: ClassVar[int] = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's protocol
        """Declare the inputs."""
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save_images(
        self,
        images: torch.Tensor,
        filename_prefix: str = "ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        """Write a batch (NxHxWxC, 0..1) and name the files in ``ui``."""
        batch: NDArray[np.float32] = images.detach().cpu().float().numpy()
        if batch.ndim == 3:
            batch = batch[None]
        for picture in batch:
            check_finite(picture)
        height, width = batch.shape[1:3]
        subfolder, _, stem = _expand(filename_prefix, width, height).rpartition("/")
        folders = self.services.folders
        target = folders.resolve(f"{stem or 'ComfyUI'}_00001_.png", self.folder, subfolder).parent
        info = self._metadata(prompt, extra_pnginfo)
        saved = []
        for index, picture in enumerate(batch):
            data = encode(picture, info, self.compress_level)
            path = _write_new(target, (stem or "ComfyUI").replace("%batch_num%", str(index)), data)
            saved.append({"filename": path.name, "subfolder": subfolder, "type": self.folder})
            run = current_run()
            if run is not None and len(batch) > 1:
                run.progress(index + 1, len(batch))
        return {"ui": {"images": saved}}

    def _metadata(self, prompt: Any, extra_pnginfo: Any) -> PngInfo | None:
        """Return the workflow for the PNG; off by default, for restored photos are passed on."""
        if not self.services.settings.embed_workflow:
            return None
        info = PngInfo()
        if prompt is not None:
            info.add_text("prompt", orjson.dumps(prompt).decode())
        for name, value in extra_pnginfo.items() if isinstance(extra_pnginfo, dict) else ():
            info.add_text(str(name), orjson.dumps(value).decode())
        return info


class PreviewImage(SaveImage):
    """Writes pictures into the temp folder, which is emptied at each start."""

    folder = "temp"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's protocol
        """Declare the inputs."""
        return {
            "required": {"images": ("IMAGE",)},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save_images(
        self,
        images: torch.Tensor,
        filename_prefix: str = "ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        """Write a batch under names that nobody can guess."""
        prefix = f"{filename_prefix}_temp_{uuid.uuid4().hex[:8]}"
        return super().save_images(images, prefix, prompt, extra_pnginfo)


def _expand(prefix: str, width: int, height: int) -> str:
    """Fill in ComfyUI's placeholders: %width%, %height%, %year%, ... %second%."""
    now = datetime.now().astimezone()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.year),
        "month": f"{now.month:02}",
        "day": f"{now.day:02}",
        "hour": f"{now.hour:02}",
        "minute": f"{now.minute:02}",
        "second": f"{now.second:02}",
    }
    return re.sub(r"%(\w+)%", lambda m: values.get(m.group(1), m.group(0)), prefix)


def encode(picture: NDArray[np.float32], info: PngInfo | None, level: int) -> bytes:
    """Return a picture (HxWxC, 0..1) as a PNG file; ``level`` is zlib's."""
    levels = np.clip(picture * 255.0, 0, 255).round().astype(np.uint8)
    if levels.shape[-1] == 1:
        levels = levels[:, :, 0]
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG", pnginfo=info, compress_level=level)
    return buffer.getvalue()


def _write_new(folder: Path, stem: str, data: bytes) -> Path:
    """Write under the next free number; whole or not at all."""
    partial = write_partial(folder, data)
    try:
        if partial.stat().st_size != len(data):
            raise OutputDamagedError("the picture's file was not written whole")
        with _numbering:
            number = _highest(folder, stem)
            while True:
                number += 1
                path = folder / f"{stem}_{number:05}_.png"
                try:
                    path.hardlink_to(partial)
                except FileExistsError:  # another process writes here too
                    continue
                return path
    finally:
        partial.unlink(missing_ok=True)


def _highest(folder: Path, stem: str) -> int:
    highest = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(stem + "_"):
                match = _COUNTER.fullmatch(entry.name[len(stem) :])
                highest = max(highest, int(match.group(1)) if match else 0)
    return highest
