"""``python -m ddcolor_operations.watch``: the command by itself, as the native stack starts it."""

from .cli import watch

watch()
