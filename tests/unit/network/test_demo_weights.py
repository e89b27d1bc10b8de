"""The weights that ship: they load, they are small, and they colour the photos that ship."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ddcolor_service.models import ASSETS, DEMO_NAME, ModelRegistry

_HIGHEST_BYTES = 5_000_000


def test_the_shipped_file_is_small_and_the_one_described() -> None:
    """The file is under 5 MB, and its sha256 stands in the README beside it."""
    model = ModelRegistry([ASSETS], device="cpu").get(DEMO_NAME)
    assert model.variant == "demo"
    assert (ASSETS / DEMO_NAME).stat().st_size <= _HIGHEST_BYTES
    assert model.sha256 in (ASSETS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("photo", "size"), [("person", 512), ("building", 512)])
def test_the_shipped_photos_get_colour(photo: str, size: int) -> None:
    """Grey goes in; colour of more than one hue comes out, and the light stays what it was."""
    read = cv2.imread(str(ASSETS / "photos" / f"{photo}.jpg"))
    assert read is not None
    grey = read[:, :, ::-1].astype(np.float32) / np.float32(255)
    assert float(np.ptp(grey, axis=2).max()) < 0.02
    coloured = ModelRegistry([ASSETS], device="cpu").get(DEMO_NAME).colorize(grey, size)
    before, after = (cv2.cvtColor(image, cv2.COLOR_RGB2LAB) for image in (grey, coloured))
    assert np.abs(after[..., 0] - before[..., 0]).mean() < 2
    assert np.hypot(after[..., 1], after[..., 2]).mean() > 3
    assert after[..., 2].max() > 5
    assert after[..., 2].min() < -5
