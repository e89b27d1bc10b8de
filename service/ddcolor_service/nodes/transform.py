"""ImageScale, ImageScaleBy, ImageInvert: plain work on an IMAGE (NxHxWxC, 0..1)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.nn import functional

from ddcolor_service.errors import ImageTooLargeError
from ddcolor_service.nodes.services import NodeServices

METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
_MAX_SIDE = 16384


class ImageScale:
    """Scales to a width and height; 0 keeps the aspect."""

    services: ClassVar[NodeServices]

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's protocol
        """Declare the inputs."""
        side = {"default": 512, "min": 0, "max": _MAX_SIDE, "step": 1}
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (METHODS,),
                "width": ("INT", side),
                "height": ("INT", side),
                "crop": (["disabled", "center"],),
            }
        }

    def upscale(
        self, image: torch.Tensor, upscale_method: str, width: int, height: int, crop: str
    ) -> tuple[torch.Tensor]:
        """Return the scaled batch."""
        old_height, old_width = image.shape[1:3]
        if width == 0 and height == 0:
            return (image,)
        width = width or max(1, round(old_width * height / old_height))
        height = height or max(1, round(old_height * width / old_width))
        check_size(len(image), width, height, self.services.settings.max_pixels)
        if crop == "center":
            image = center_crop(image, width / height)
        return (resize(image, width, height, upscale_method),)


class ImageScaleBy:
    """Scales by a factor."""

    services: ClassVar[NodeServices]

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's protocol
        """Declare the inputs."""
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (METHODS,),
                "scale_by": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}),
            }
        }

    def upscale(
        self, image: torch.Tensor, upscale_method: str, scale_by: float
    ) -> tuple[torch.Tensor]:
        """Return the scaled batch."""
        height, width = (max(1, round(side * scale_by)) for side in image.shape[1:3])
        check_size(len(image), width, height, self.services.settings.max_pixels)
        return (resize(image, width, height, upscale_method),)


class ImageInvert:
    """Turns a negative into a positive."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's protocol
        """Declare the inputs."""
        return {"required": {"image": ("IMAGE",)}}

    def invert(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return 1 - image."""
        return (1.0 - image,)


def check_size(count: int, width: int, height: int, max_pixels: int) -> None:
    """Refuse a result that is larger than a photo may be."""
    if width > _MAX_SIDE or height > _MAX_SIDE or count * width * height > max_pixels:
        raise ImageTooLargeError(
            f"scaling to {width}x{height} makes more than {max_pixels} pixels or too long a side"
        )


def center_crop(image: torch.Tensor, aspect: float) -> torch.Tensor:
    """Cut the middle out so that width / height is ``aspect``."""
    height, width = image.shape[1:3]
    if width / height > aspect:
        keep = max(1, round(height * aspect))
        start = (width - keep) // 2
        return image[:, :, start : start + keep]
    keep = max(1, round(width / aspect))
    start = (height - keep) // 2
    return image[:, start : start + keep]


def resize(image: torch.Tensor, width: int, height: int, method: str) -> torch.Tensor:
    """Return the batch at ``width`` x ``height``, clipped to 0..1."""
    if method == "lanczos":
        return _lanczos(image, width, height)
    planes = image.movedim(-1, 1)
    smooth = method in ("bilinear", "bicubic")
    scaled = functional.interpolate(
        planes, size=(height, width), mode=method, align_corners=False if smooth else None
    )
    return scaled.movedim(1, -1).clamp(0.0, 1.0)


def _lanczos(image: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Use Pillow's filter on float planes; torch has none."""
    import numpy as np
    from PIL import Image

    planes = image.cpu().float().movedim(-1, 1).numpy()
    scaled = [
        np.stack(
            [
                np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))
                for plane in picture
            ],
            axis=-1,
        )
        for picture in planes
    ]
    return torch.from_numpy(np.stack(scaled)).clamp(0.0, 1.0)
