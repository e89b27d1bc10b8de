"""The strict decoder: what it takes, and what it refuses with which kind."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddcolor_service.errors import ServiceFaultError
from ddcolor_service.images import decode
from tests.support.service import encoded, picture

MAX_PIXELS = 1_000_000


def kind_of(data: bytes) -> str:
    with pytest.raises(ServiceFaultError) as caught:
        decode(data, max_pixels=MAX_PIXELS)
    return caught.value.comfyui_error_kind


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_formats(form: str) -> None:
    """Each usual format of a photo is decoded to RGB between 0 and 1."""
    found = decode(encoded(form=form), max_pixels=MAX_PIXELS)
    assert found.rgb.shape == (48, 64, 3)
    assert found.rgb.dtype == np.float32
    assert 0.0 <= found.rgb.min() < found.rgb.max() <= 1.0
    assert found.alpha is None


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg/>", b"RIFF....WEBP", bytes(1000), b"BM"],
)
def test_no_picture(data: bytes) -> None:
    """Bytes that are no picture are refused as such."""
    assert kind_of(data) in ("decode_failed", "image_truncated")


def test_empty_and_text_are_decode_failures() -> None:
    """An empty file and a text file cannot be decoded; neither is called truncated."""
    assert kind_of(b"") == "decode_failed"
    assert kind_of(b"this is no photo") == "decode_failed"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_truncated(form: str, part: float) -> None:
    """A file that ends early is refused, whatever its format."""
    data = encoded(picture(200, 150), form)
    assert kind_of(data[: int(len(data) * part)]) in ("image_truncated", "decode_failed")


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_one_missing_byte(form: str) -> None:
    """A PNG or JPEG without its very last byte is called truncated."""
    assert kind_of(encoded(form=form)[:-1]) == "image_truncated"


@pytest.mark.parametrize("at", [20, 60, 200, -20])
def test_bit_flip_in_png(at: int) -> None:
    """A flipped bit anywhere in a PNG is seen by its checksums."""
    data = bytearray(encoded())
    data[at] ^= 0x10
    assert kind_of(bytes(data)) in ("image_truncated", "decode_failed", "image_too_large")


def test_bit_flip_in_an_ancillary_chunk() -> None:
    """Also chunks that Pillow does not check are checked."""
    chunk = b"tEXtComment\0hello"
    bad = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk) ^ 1)
    data = encoded()
    assert kind_of(data[:33] + bad + data[33:]) == "image_truncated"


def test_missing_restart_interval() -> None:
    """A JPEG that lost a part of its scan between two restart markers is refused."""
    data = encoded(picture(256, 256), "JPEG", restart_marker_blocks=8)
    first, third = data.index(b"\xff\xd0"), data.index(b"\xff\xd2")
    assert kind_of(data[:first] + data[third:]) == "image_truncated"


def test_stray_marker_in_scan() -> None:
    """A JPEG scan with a byte pair that no encoder writes is refused."""
    data = bytearray(encoded(picture(256, 256), "JPEG"))
    middle = len(data) // 2
    data[middle : middle + 2] = b"\xff\x55"
    assert kind_of(bytes(data)) == "image_truncated"


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animated(form: str) -> None:
    """An animation is no photo."""
    frames = [picture(seed=seed) for seed in range(3)]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert kind_of(data) == "decode_failed"


def test_multi_picture_jpeg() -> None:
    """A phone's MPO (a photo and a second picture behind it) is one photo."""
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture(seed=1)])
    assert decode(data, max_pixels=MAX_PIXELS).rgb.shape == (48, 64, 3)


def test_cmyk() -> None:
    """A CMYK scan becomes RGB of the same look."""
    cmyk = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert decode(encoded(cmyk, "JPEG"), max_pixels=MAX_PIXELS).rgb.min() > 0.95


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits(form: str) -> None:
    """A 16-bit scan keeps its brightness and its fine steps."""
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    rgb = decode(encoded(Image.fromarray(values), form), max_pixels=MAX_PIXELS).rgb
    assert rgb.max() == pytest.approx(1.0)
    assert rgb.mean() == pytest.approx(0.5, abs=0.01)
    assert len(np.unique(rgb)) > 256


def test_exif_rotation() -> None:
    """A photo with a rotation flag comes out upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(form="JPEG", exif=exif), max_pixels=MAX_PIXELS).rgb.shape == (64, 48, 3)


def test_alpha() -> None:
    """Transparency is handed on beside the colours."""
    image = picture().convert("RGBA")
    image.putalpha(64)
    found = decode(encoded(image), max_pixels=MAX_PIXELS)
    assert found.alpha is not None
    assert found.alpha.mean() == pytest.approx(64 / 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes(mode: str) -> None:
    """Every pixel mode of PNG becomes RGB."""
    assert decode(encoded(picture().convert(mode)), max_pixels=MAX_PIXELS).rgb.shape == (48, 64, 3)


def test_pixel_limit() -> None:
    """A picture over the limit is refused by its header, before it is decoded."""
    assert kind_of(encoded(Image.new("L", (2000, 1000)))) == "image_too_large"


def test_decompression_bomb() -> None:
    """A small file that claims enormous sides is refused without decoding it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        whole = name + body
        return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))
    assert kind_of(data + chunk(b"IEND", b"")) == "image_too_large"


def test_messages_name_nothing_private() -> None:
    """No message of the decoder holds an address, a path or a repr of an object."""
    broken: list[Callable[[], Any]] = [
        lambda: decode(b"x", max_pixels=10),
        lambda: decode(encoded()[:200], max_pixels=MAX_PIXELS),
        lambda: decode(encoded(), max_pixels=10),
    ]
    for call in broken:
        with pytest.raises(ServiceFaultError) as caught:
            call()
        assert "0x" not in str(caught.value).replace("x48", "")
        assert "/" not in str(caught.value)
