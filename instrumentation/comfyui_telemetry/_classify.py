"""Tell the kind of a fault from its exception."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from ._told import ToldError
from .catalogue import CATALOGUE

DEFAULT_KIND = "execution_error"
_CAUSES = 8
_TEXT_CHARS = 4_096
_MODEL_SUFFIXES = (".bin", ".ckpt", ".gguf", ".onnx", ".pt", ".pth", ".safetensors")

# Class names, whatever module they come from: torch moved its own between releases.
_BY_CLASS = {
    "OutOfMemoryError": "out_of_memory",
    "MemoryError": "out_of_memory",
    "UnidentifiedImageError": "decode_failed",
    "DecompressionBombError": "image_too_large",
    "SafetensorError": "model_not_loaded",
    "UnpicklingError": "model_not_loaded",
}
# Texts in lower case, most telling first. On the CPU torch raises a plain RuntimeError.
_BY_TEXT = (
    ("out of memory", "out_of_memory"),
    ("can't allocate memory", "out_of_memory"),
    ("cannot allocate memory", "out_of_memory"),
    ("not enough memory", "out_of_memory"),
    ("allocation on device", "out_of_memory"),
    ("cublas_status_alloc_failed", "out_of_memory"),
    ("cudnn_status_alloc_failed", "out_of_memory"),
    ("cannot identify image file", "decode_failed"),
    ("image file is truncated", "image_truncated"),
    ("broken data stream when reading image", "image_truncated"),
    ("truncated file read", "image_truncated"),
    ("decompression bomb", "image_too_large"),
    ("error(s) in loading state_dict", "model_not_loaded"),
    ("pytorchstreamreader failed", "model_not_loaded"),
    ("invalid load key", "model_not_loaded"),
    ("invalid magic number; corrupt file", "model_not_loaded"),
    ("could not detect model type", "model_not_loaded"),
)
_MODEL_READERS = frozenset(
    {"safetensors.torch", "torch._weights_only_unpickler", "torch.serialization"}
)
_PICTURE_READER = re.compile(r"PIL\.\w+ImagePlugin")


def classify(exception: BaseException) -> str:
    """Return the kind in the catalogue that ``exception`` belongs to.

    An attribute ``comfyui_error_kind`` on the exception decides; else its class, its text, the
    module it was raised in, then the same for the exceptions it was raised from or while handling.
    If nothing is known it is ``execution_error``.
    """
    for error in _chain(exception):
        for look in (_told, _by_class, _by_file, _by_text, _by_origin):
            kind = look(error)
            if kind is not None:
                return kind
    return DEFAULT_KIND


def _chain(exception: BaseException) -> Iterator[BaseException]:
    error: BaseException | None = exception
    for _ in range(_CAUSES):
        if error is None:
            return
        yield error
        # ComfyUI's reader of 2024-07 ended with "cannot access local variable" over the real error.
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _told(error: BaseException) -> str | None:
    kind = getattr(error, "comfyui_error_kind", None)
    return kind if isinstance(kind, str) and kind in CATALOGUE else None


def _by_class(error: BaseException) -> str | None:
    return next((_BY_CLASS[name] for name in _class_names(error) if name in _BY_CLASS), None)


def _class_names(error: BaseException) -> Iterator[str]:
    """Yield the names, without modules, of the classes that an error is of."""
    if isinstance(error, ToldError):
        yield error.error_type.rpartition(".")[2]
    for base in type(error).__mro__:
        yield base.__name__


def _by_file(error: BaseException) -> str | None:
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENOMEM:
        return "out_of_memory"
    if isinstance(error, FileNotFoundError) and str(error.filename).endswith(_MODEL_SUFFIXES):
        return "model_not_loaded"
    return None


def _by_text(error: BaseException) -> str | None:
    try:
        text = str(error)[:_TEXT_CHARS].lower()
    except Exception:  # noqa: BLE001 - foreign code
        return None
    return next((kind for part, kind in _BY_TEXT if part in text), None)


def _by_origin(error: BaseException) -> str | None:
    """Tell errors of a file's reader, which may be of any class, by the module they come from."""
    stack = error.__traceback__
    kind = None
    while stack is not None:
        code = stack.tb_frame
        module = str(code.f_globals.get("__name__"))
        if module in _MODEL_READERS:
            kind = "model_not_loaded"
        elif module == "PIL.ImageFile" or _PICTURE_READER.fullmatch(module):
            kind = "decode_failed"
        if code.f_code.co_name.lstrip("_").startswith("save"):
            # A writer's error says nothing about what was read.
            return None
        stack = stack.tb_next
    return kind


def is_interrupt(exception: BaseException) -> bool:
    """Say whether a person or a shutdown stopped the work: that is never a fault.

    ``sys.exit()`` inside of a node is one: it ends ComfyUI's worker thread without a word.
    """
    if not isinstance(exception, Exception):
        return not isinstance(exception, SystemExit)
    return "InterruptProcessingException" in _class_names(exception)
