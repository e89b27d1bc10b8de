"""Which kind of fault an exception is."""

from __future__ import annotations

import asyncio
import errno
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from PIL import Image, UnidentifiedImageError

from comfyui_telemetry import classify
from comfyui_telemetry._classify import is_interrupt


class InterruptProcessingException(Exception):  # noqa: N818 - ComfyUI's name
    """Named as ComfyUI names its own."""


class _ToldError(Exception):
    comfyui_error_kind = "output_damaged"


class _ToldNonsenseError(Exception):
    comfyui_error_kind = "no such kind"


class _NoTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _raised(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - that is what is asked
        work()
    return caught.value


def _truncated() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    Image.open(io.BytesIO(buffer.getvalue()[:900])).load()


def _broken_png() -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[12:16] = b"\x00\x01\x02\x03"
    Image.open(io.BytesIO(bytes(data)), formats=["PNG"]).load()


def _from_cause() -> None:
    raise RuntimeError("node failed") from MemoryError()


def _unwritable() -> None:
    Image.new("F", (2, 2)).save(io.BytesIO(), "PNG")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "out_of_memory",
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "out_of_memory"),
        (RuntimeError("MPS backend out of memory"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (UnidentifiedImageError("cannot identify image file"), "decode_failed"),
        (_raised(lambda: Image.open(io.BytesIO(b"text"))), "decode_failed"),
        (_raised(lambda: Image.open(io.BytesIO(b""))), "decode_failed"),
        (_raised(_truncated), "image_truncated"),
        (Image.DecompressionBombError("too many pixels"), "image_too_large"),
        (_raised(lambda: torch.nn.Linear(2, 2).load_state_dict({})), "model_not_loaded"),
        (_raised(lambda: torch.load(io.BytesIO(b"this is no checkpoint"))), "model_not_loaded"),
        (pickle.UnpicklingError("invalid load key"), "model_not_loaded"),
        (FileNotFoundError(2, "No such file", "/models/ddcolor.pth"), "model_not_loaded"),
        (FileNotFoundError(2, "No such file", "/etc/other.txt"), "execution_error"),
        (_ToldError(), "output_damaged"),
        (_ToldNonsenseError(), "execution_error"),
        (_raised(_from_cause), "out_of_memory"),
        (_raised(_broken_png), "decode_failed"),
        (_raised(_unwritable), "execution_error"),
        (ValueError("bad value"), "execution_error"),
        (_NoTextError(), "execution_error"),
    ],
    ids=repr,
)
def test_kind(error: BaseException, kind: str) -> None:
    """Attribute, class, errno, text and cause decide, in this order."""
    assert classify(error) == kind


def test_a_chain_of_causes_that_never_ends_is_left() -> None:
    """Exceptions that name each other as cause do not hang the worker."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first) == "execution_error"


@pytest.mark.parametrize(
    ("error", "interrupt"),
    [
        (InterruptProcessingException(), True),
        (KeyboardInterrupt(), True),
        (asyncio.CancelledError(), True),
        (SystemExit(), False),
        (RuntimeError("interrupted"), False),
    ],
    ids=repr,
)
def test_interrupts_are_told_from_faults(error: BaseException, interrupt: bool) -> None:
    """ComfyUI's interrupt, a cancelled task and Ctrl-C are no faults; a node's exit is."""
    assert is_interrupt(error) is interrupt
