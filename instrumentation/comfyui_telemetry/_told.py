"""An error that this process did not see itself."""

from __future__ import annotations


class ToldError(Exception):
    """A failure known only by what another process, a queue's history or a log told of it.

    It stands where an exception is expected: the records say ``error_type`` (a qualified class
    name), the message and ``stack_trace`` as they were told.
    """

    def __init__(self, error_type: str, message: str, stack_trace: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type
        self.stack_trace = stack_trace
