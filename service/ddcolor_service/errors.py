"""What can go wrong, as exceptions: each carries its kind in the error catalogue.

``comfyui_error_kind`` is what :func:`comfyui_telemetry.classify` reads first, so the HTTP answer,
the WebSocket message, the log line and the span of one fault all say the same kind.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceFaultError(Exception):
    """A fault with a known kind. The message names no path and no user's file name."""

    comfyui_error_kind: ClassVar[str] = "execution_error"


class DecodeFailedError(ServiceFaultError):
    """The bytes are no picture that this service takes."""

    comfyui_error_kind = "decode_failed"


class TruncatedImageError(ServiceFaultError):
    """The picture's file ends early or its bytes were damaged on the way."""

    comfyui_error_kind = "image_truncated"


class ImageTooLargeError(ServiceFaultError):
    """The picture has more bytes or pixels than the settings allow."""

    comfyui_error_kind = "image_too_large"


class OutputDamagedError(ServiceFaultError):
    """A node made a picture that cannot be right: NaN, black, one colour, wrong size, empty."""

    comfyui_error_kind = "output_damaged"


class HardLimitError(ServiceFaultError):
    """A node or prompt ran past the configured hard limit and was stopped.

    Its kind is not ``inference_timeout``: the slow node said that already while it ran, and a
    prompt that ends without a picture is worth a message of its own.
    """

    comfyui_error_kind = "execution_error"


class PromptInterruptedError(Exception):
    """A person (or the drain at shutdown) stopped the prompt; never an error."""


class RequestRefusedError(Exception):
    """A request that is refused: carries the HTTP status and ComfyUI's error fields."""

    def __init__(
        self,
        message: str,
        *,
        details: str = "",
        error_type: str = "invalid_request",
        kind: str = "invalid_request",
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.error_type = error_type
        self.kind = kind
        self.status = status
