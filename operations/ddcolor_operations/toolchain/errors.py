"""The one error of the tool chain."""

from __future__ import annotations


class ToolchainError(Exception):
    """A tool is missing, or a download or build failed: what, where, and what to do about it."""

    def __init__(self, what: str, where: str, what_to_do: str) -> None:
        super().__init__(f"{what} ({where}). {what_to_do}")
        self.what = what
        self.where = where
        self.what_to_do = what_to_do
