"""LoadImage: an uploaded photo becomes an IMAGE and a MASK."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch

from comfyui_telemetry import semconv
from ddcolor_service.errors import DecodeFailedError, ImageTooLargeError, RequestRefusedError
from ddcolor_service.execution import current_run
from ddcolor_service.folders import FileState, file_state, read_regular
from ddcolor_service.images import decode
from ddcolor_service.nodes.services import NodeServices


class LoadImage:
    """Reads a photo from the input folder (or ``name [output]``, ``name [temp]``)."""

    services: ClassVar[NodeServices]

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load_image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's protocol
        """Declare the inputs; the choices are empty unless uploads may be listed."""
        listed = cls.services.settings.list_uploads
        names = cls.services.folders.names() if listed else []
        return {"required": {"image": (names, {"image_upload": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: object) -> bool | str:  # noqa: N802  ComfyUI's protocol
        """Say whether the file is there, so that a wrong name is refused before it is queued."""
        if image is None:
            return True
        try:
            path, _ = cls.services.folders.locate(str(image))
        except RequestRefusedError:
            return "Invalid image file: the name is not allowed"
        if not path.is_file() or path.is_symlink():
            return f"Invalid image file: {image}"
        return True

    @classmethod
    def IS_CHANGED(cls, image: object) -> str:  # noqa: N802  ComfyUI's protocol
        """Return a hash of the file: the same name may hold another photo by now."""
        path, _ = cls.services.folders.locate(str(image))
        state = file_state(path)
        if state is None:
            raise DecodeFailedError("the uploaded file is not there any more")
        return _digest(path, state, cls.services.settings.max_upload_bytes)

    def load_image(self, image: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return IMAGE (1xHxWx3, 0..1) and MASK (1xHxW, 1 where the photo is transparent).

        A photo without transparency has an empty mask of 64x64, as in ComfyUI.
        """
        data = self._read(image)
        picture = decode(data, max_pixels=self.services.settings.max_pixels)
        run = current_run()
        if run is not None:
            height, width = picture.rgb.shape[:2]
            run.describe(
                **{
                    semconv.IMAGE_WIDTH: width,
                    semconv.IMAGE_HEIGHT: height,
                    # A hash of the bytes: recognises a photo without telling its name.
                    semconv.IMAGE_SHA256: hashlib.sha256(data).hexdigest()[:16],
                }
            )
        pixels = torch.from_numpy(picture.rgb)[None]
        if picture.alpha is None:
            return pixels, torch.zeros((1, 64, 64), dtype=torch.float32)
        return pixels, 1.0 - torch.from_numpy(picture.alpha)[None]

    @classmethod
    def _read(cls, image: str) -> bytes:
        path, _ = cls.services.folders.locate(image)
        try:
            return read_regular(path, cls.services.settings.max_upload_bytes)
        except FileNotFoundError:
            raise DecodeFailedError("the uploaded file is not there any more") from None
        except ValueError as error:
            raise ImageTooLargeError(str(error)) from None


@lru_cache(maxsize=1024)
def _digest(path: Path, state: FileState, limit: int) -> str:
    """Return the sha256 of a file; read once in each ``state``, for a photo may have many MB."""
    del state  # only tells one call from the next
    return hashlib.sha256(read_regular(path, limit)).hexdigest()
