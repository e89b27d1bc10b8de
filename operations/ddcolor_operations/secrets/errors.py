"""What can go wrong with the store, in words for the operator."""

from __future__ import annotations


class StoreError(Exception):
    """The store or its key cannot be used; the text says what, where and what to do, no value."""
