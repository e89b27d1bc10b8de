"""Bytes to picture: a strict decoder.

ComfyUI accepts a truncated or bit-flipped file and hands on a damaged picture without a word. Here
such a file is refused, because nobody looks at a restored photo as closely as its owner.

What cannot be seen: JPEG, WebP, BMP and GIF have no checksum over their pixels, so a flipped bit
that still decodes passes. PNG and JPEG files are checked as far as their formats allow.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ddcolor_service.errors import (
    DecodeFailedError,
    ImageTooLargeError,
    ServiceFaultError,
    TruncatedImageError,
)

# An MPO comes in as JPEG and turns out to be one.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
Image.init()  # registers all formats: Pillow looks names up before it loads their plug-ins
_TRUNCATED_WORDS = ("truncat", "broken png", "unexpected end", "premature", "not processed")
_MAX_SIDE = 32768


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded photo, upright.

    ``rgb`` is float32 HxWx3 in 0..1; ``alpha`` float32 HxW in 0..1, or None when the file has no
    transparency.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32] | None


def decode(data: bytes, *, max_pixels: int) -> Picture:
    """Decode a whole photo.

    Raises :class:`DecodeFailedError` (not a picture, empty, animated, unknown format),
    :class:`TruncatedImageError` (ends early, checksum wrong) or :class:`ImageTooLargeError`.
    """
    image = _load(data, max_pixels)
    try:
        # The camera's rotation flag is applied, so that the network sees people upright.
        return _to_picture(ImageOps.exif_transpose(image))
    except (ServiceFaultError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise nearly every type
        raise _fault_of(error) from error


def check(data: bytes, *, max_pixels: int) -> None:
    """Decode a photo only to see that it can be: in a fraction of the memory of :func:`decode`.

    Raises what :func:`decode` raises.
    """
    image = _load(data, max_pixels)
    if image.mode == "F":  # the one mode whose pixels can be wrong in themselves
        _to_picture(image)


def _load(data: bytes, max_pixels: int) -> Image.Image:
    """Read the whole file into a Pillow image."""
    image = _open(data, max_pixels)
    _check_structure(image.format or "", data)
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's decoders raise nearly every type.
        raise _fault_of(error) from error
    return image


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Read the header only, and refuse what must not be decoded at all."""
    if not data:
        raise DecodeFailedError("the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        frames = getattr(image, "n_frames", 1)
    except UnidentifiedImageError:
        # Pillow does not know a PNG or JPEG whose first chunk is damaged either.
        _check_structure(_format_of(data), data)
        raise DecodeFailedError("this is no JPEG, PNG, WebP, BMP, TIFF or GIF picture") from None
    except Image.DecompressionBombError:
        raise ImageTooLargeError(f"more than {max_pixels} pixels are not taken") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's parsers raise nearly every type
        raise _fault_of(error) from error
    width, height = image.size
    if width * height > max_pixels or max(width, height) > _MAX_SIDE:
        raise ImageTooLargeError(
            f"{width}x{height} pixels; at most {max_pixels} pixels and {_MAX_SIDE} a side are taken"
        )
    # An MPO holds one photo and its depth map or second eye: the first frame is the photo.
    if frames > 1 and image.format != "MPO":
        raise DecodeFailedError(f"the file holds {frames} pictures; send a single photo")
    return image


def _format_of(data: bytes) -> str:
    """Return the format that the first bytes promise."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    return "JPEG" if data.startswith(b"\xff\xd8\xff") else ""


def _check_structure(file_format: str, data: bytes) -> None:
    if file_format == "PNG":
        _check_png(data)
    elif file_format in ("JPEG", "MPO"):
        _check_jpeg(data)


def _check_png(data: bytes) -> None:
    """Check every chunk's CRC up to IEND (Pillow skips those of ancillary chunks)."""
    from zlib import crc32

    at = 8
    while True:
        if at + 12 > len(data):
            raise TruncatedImageError("the PNG file ends before its last chunk")
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            raise TruncatedImageError("the PNG file ends inside a chunk")
        (expected,) = struct.unpack_from(">I", data, end - 4)
        if crc32(memoryview(data)[at + 4 : end - 4]) != expected:
            raise TruncatedImageError("a checksum in the PNG file is wrong")
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end


def _check_jpeg(data: bytes) -> None:
    """Walk the markers of the first picture up to its end-of-image marker.

    libjpeg only warns about a scan that breaks off or holds stray markers and fills the rest with
    grey; Pillow does not hand these warnings on.
    """
    at, restart = 2, 0
    while True:
        at, marker = _next_marker(data, at)
        if marker == 0xD9:
            return
        if 0xD0 <= marker <= 0xD7:
            if marker - 0xD0 != restart % 8:
                raise TruncatedImageError("a part of the JPEG data is missing")
            restart += 1
            continue
        if marker in (0x01, 0xD8):
            continue
        if at + 2 > len(data):
            raise TruncatedImageError("the JPEG file ends inside its header")
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2 or at + length > len(data):
            raise TruncatedImageError("the JPEG file ends inside a segment")
        at += length
        if marker == 0xDA:
            restart = 0


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the offset behind the next marker and the marker; skips entropy-coded data."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise TruncatedImageError("the JPEG file ends before its end marker")
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
        elif marker == 0x00:  # a stuffed byte of the data
            at += 2
        elif 0x02 <= marker <= 0xBF:  # reserved: no encoder writes these
            raise TruncatedImageError("the JPEG data is damaged")
        else:
            return at + 2, marker


def _fault_of(error: Exception) -> ServiceFaultError:
    text = str(error).lower()
    if any(word in text for word in _TRUNCATED_WORDS):
        return TruncatedImageError("the file ends early or was damaged on the way")
    return DecodeFailedError(f"the decoder gave up ({type(error).__name__})")


def _to_picture(image: Image.Image) -> Picture:
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        grey = _deep_grey(image)
        return Picture(np.repeat(grey[:, :, None], 3, axis=2), None)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = _unit(image.getchannel("A"))
    # CMYK, YCbCr, palette, 1-bit and grey all become RGB here.
    return Picture(_unit(image.convert("RGB")), alpha)


def _deep_grey(image: Image.Image) -> NDArray[np.float32]:
    """Scale 16-bit, 32-bit and float grey to 0..1; Pillow's own conversion clips at 255."""
    values = np.asarray(image).astype(np.float32)
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise DecodeFailedError("the picture holds numbers that are no brightness")
        top = 1.0 if values.max(initial=0.0) <= 1.0 else max(255.0, float(values.max()))
    else:
        top = 65535.0 if values.max(initial=0.0) <= 65535.0 else float(values.max())
    scaled: NDArray[np.float32] = np.clip(values / np.float32(top), 0.0, 1.0)
    return scaled


def _unit(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, dtype=np.float32) / np.float32(255.0)
