"""Is a restored picture one? Cheap checks that turn silent damage into a fault."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddcolor_service.errors import OutputDamagedError

_BLACK = 1.0 / 255.0
_FLAT = 0.5 / 255.0


def check_finite(picture: NDArray[np.float32], what: str = "the picture") -> None:
    """Refuse empty pictures and pixels that are NaN or infinite."""
    if picture.size == 0:
        raise OutputDamagedError(f"{what} is empty")
    if not np.isfinite(picture).all():
        raise OutputDamagedError(f"{what} holds NaN or infinite pixels")


def check_restored(before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
    """Compare a restored picture (HxWx3, 0..1) with the photo it was made from.

    A photo that was black or of one colour itself stays so and is right; only what the model
    lost counts. Raises :class:`OutputDamagedError`.
    """
    check_finite(after, "the restored picture")
    if before.shape[:2] != after.shape[:2] or after.shape[-1] != 3:
        raise OutputDamagedError(
            f"the restored picture has shape {after.shape}, the photo {before.shape}"
        )
    if float(after.max()) < _BLACK and float(before.max()) >= _BLACK:
        raise OutputDamagedError("the restored picture is all black")
    if _is_flat(after) and not _is_flat(before, 4 * _FLAT):
        raise OutputDamagedError("the restored picture has one colour only")


def _is_flat(picture: NDArray[np.float32], limit: float = _FLAT) -> bool:
    """Say whether every channel keeps within ``limit`` (0..1) over the whole picture."""
    # One pixel of 256 shows for nearly every photo that it is not flat, at no cost.
    return _spread(picture[::16, ::16]) < limit and _spread(picture) < limit


def _spread(picture: NDArray[np.float32]) -> float:
    """Return the widest range of a channel over the picture, 0..1."""
    return float(np.ptp(picture, axis=(0, 1)).max())
